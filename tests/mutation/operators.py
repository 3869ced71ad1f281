"""What one node of a syntax tree may become; None stands for: it is taken out.

Each of these is a mistake that somebody makes: a boundary off by one, a condition forgotten, two arguments
swapped, a field not passed on, a statement or a case lost.
"""

import ast
import copy
from collections.abc import Iterator
from functools import singledispatch
from typing import Any, Final

_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_COUNTED: Final[dict[type[ast.operator], tuple[type[ast.operator], ...]]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Mult,),
    ast.Div: (ast.FloorDiv,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitXor: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_ELEMENTS: Final = (ast.Tuple, ast.List, ast.Set)


def replacements(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    """What stands in `parent.field` may become each of these instead; none of them is the same."""
    same = ast.dump(node)
    told: set[str] = set()
    for other in (*_inside(node), *_around(node, parent, field)):
        said = "" if other is None else ast.dump(other)
        if said not in told and said != same:
            told.add(said)
            if other is not None:
                ast.fix_missing_locations(ast.copy_location(other, node))
            yield other


def _around(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    """What the place of a node suggests, whatever the node is."""
    if field in ("test", "guard", "ifs") and isinstance(node, ast.expr):
        if not isinstance(node, ast.UnaryOp):  # whose `not` is taken away as it is
            yield ast.UnaryOp(ast.Not(), node)
        yield ast.Constant(False)
        if not isinstance(parent, ast.While | ast.Assert):  # never ends; is the same as none
            yield ast.Constant(True)
    if isinstance(parent, _ELEMENTS) and not isinstance(getattr(parent, "ctx", None), ast.Store):
        yield None
    if isinstance(node, ast.keyword):
        yield None


@singledispatch
def _inside(node: Any) -> Iterator[ast.AST | None]:
    """What a node of this kind may become."""
    yield from ()


def _with(node: Any, **fields: object) -> Any:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


@_inside.register
def _(node: ast.Compare) -> Iterator[ast.AST | None]:
    for index, op in enumerate(node.ops):
        for other in _COMPARED[type(op)]:
            yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


@_inside.register
def _(node: ast.BoolOp) -> Iterator[ast.AST | None]:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield rest[0] if len(rest) == 1 else _with(node, values=rest)


@_inside.register
def _(node: ast.UnaryOp) -> Iterator[ast.AST | None]:
    if not isinstance(node.op, ast.UAdd):
        yield node.operand


@_inside.register
def _(node: ast.BinOp) -> Iterator[ast.AST | None]:
    if isinstance(node.op, ast.BitOr):  # of types, mostly: one of them is forgotten
        yield node.left
        yield node.right
    for other in _COUNTED.get(type(node.op), ()):
        yield _with(node, op=other())


@_inside.register
def _(node: ast.Constant) -> Iterator[ast.AST | None]:
    match node.value:
        case bool():
            yield ast.Constant(not node.value)
        case int():
            yield ast.Constant(node.value + 1)
            yield ast.Constant(node.value - 1)
        case str():
            yield ast.Constant(f"{node.value}?")
        case bytes():
            yield ast.Constant(node.value + b"?")


@_inside.register
def _(node: ast.JoinedStr) -> Iterator[ast.AST | None]:
    for index, part in enumerate(node.values):
        before, after = node.values[:index], node.values[index + 1 :]
        if isinstance(part, ast.FormattedValue):
            yield _with(node, values=[*before, *after])


@_inside.register
def _(node: ast.IfExp) -> Iterator[ast.AST | None]:
    yield _with(node, body=node.orelse, orelse=node.body)


@_inside.register
def _(node: ast.Dict) -> Iterator[ast.AST | None]:
    for index in range(len(node.keys)):
        keys = [*node.keys[:index], *node.keys[index + 1 :]]
        yield _with(node, keys=keys, values=[*node.values[:index], *node.values[index + 1 :]])


def _sort(node: ast.expr) -> str | None:
    """Two arguments of one sort can be mistaken for each other; mypy sees all other mistakes."""
    if isinstance(node, ast.Constant):
        return type(node.value).__name__
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.rpartition("_")[2] if "_" in name else None


@_inside.register
def _(node: ast.Call) -> Iterator[ast.AST | None]:
    if ast.unparse(node.func) in ("min", "max"):  # the same in any order
        return
    for index in range(len(node.args) - 1):
        one, two = node.args[index : index + 2]
        if (sort := _sort(one)) is not None and sort == _sort(two):
            yield _with(node, args=[*node.args[:index], two, one, *node.args[index + 2 :]])


@_inside.register
def _(node: ast.match_case) -> Iterator[ast.AST | None]:
    yield _with(node, guard=ast.Constant(False))


@_inside.register
def _(node: ast.MatchOr) -> Iterator[ast.AST | None]:
    for index in range(len(node.patterns)):
        rest = [*node.patterns[:index], *node.patterns[index + 1 :]]
        yield rest[0] if len(rest) == 1 else _with(node, patterns=rest)


@_inside.register
def _(node: ast.comprehension) -> Iterator[ast.AST | None]:
    yield _with(node, iter=ast.Tuple([], ast.Load()))


@_inside.register
def _(node: ast.For) -> Iterator[ast.AST | None]:
    yield _with(node, iter=ast.Tuple([], ast.Load()))


@_inside.register
def _(node: ast.Return) -> Iterator[ast.AST | None]:
    if node.value is not None and not (
        isinstance(node.value, ast.Constant) and node.value.value is None
    ):
        yield ast.Return(ast.Constant(None))


@_inside.register(ast.Expr)
@_inside.register(ast.Assert)
@_inside.register(ast.Raise)
@_inside.register(ast.Delete)
def _(node: ast.stmt) -> Iterator[ast.AST | None]:
    yield ast.Pass()


@_inside.register
def _(node: ast.Assign) -> Iterator[ast.AST | None]:
    yield ast.Pass()


@_inside.register
def _(node: ast.AugAssign) -> Iterator[ast.AST | None]:
    yield ast.Pass()
    yield ast.Assign([node.target], node.value)
    for other in _COUNTED.get(type(node.op), ()):
        yield _with(node, op=other())
    if isinstance(node.op, ast.BitOr):
        yield _with(node, op=ast.BitAnd())


@_inside.register
def _(node: ast.Continue) -> Iterator[ast.AST | None]:
    yield ast.Pass()
    yield ast.Break()


@_inside.register
def _(node: ast.Break) -> Iterator[ast.AST | None]:
    yield ast.Pass()
    yield ast.Continue()
