"""Every small change that is made to a module, in the order of its text; each is one node of its syntax tree.

What is left alone: annotations and names that serve as types only (mypy's), docstrings, what an assertion
says when it fails, and `case _: assert_never(...)`, which no value reaches.
"""

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.mutation.operators import replacements

ROOT: Final = Path(__file__).parents[2]
HEADERS: Final = (ast.If, ast.For, ast.While, ast.With, ast.Try)


class Place(NamedTuple):
    """Where a node hangs: in `parent`, at `field` (and `position` of a list)."""

    parent: ast.AST
    field: str
    position: int | None
    node: ast.AST


class Mutant(NamedTuple):
    """One change: at `place`, `replacement` stands instead, or nothing."""

    path: str  # of the file, from the root
    function: str  # qualified name; empty: done while the module is imported
    was: str  # the statement, or its head
    becomes: str
    occurrence: int  # of the same change of the same text in one function
    at_import: bool  # it cannot be brought into a function that is there already
    lines: range  # of the statement, or of its head
    place: Place
    replacement: ast.AST | None

    @property
    def key(self) -> str:
        """The same as long as the function and the statement are the same."""
        number = f" #{self.occurrence}" if self.occurrence else ""
        return f"{self.path}: {self.function or 'module'}: {self.was} -> {self.becomes}{number}"

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The tree with this change in it."""
        with _changed(self.place, self.replacement):
            yield


@contextmanager
def _changed(place: Place, replacement: ast.AST | None) -> Iterator[None]:
    there = getattr(place.parent, place.field)
    if place.position is None:
        setattr(place.parent, place.field, replacement)
    else:
        rest = there[place.position + 1 :]
        there_now = [*there[: place.position], *([replacement] if replacement else []), *rest]
        setattr(place.parent, place.field, there_now)
    try:
        yield
    finally:
        setattr(place.parent, place.field, there)


class Module(NamedTuple):
    """A parsed file, whose tree its mutants change and put back."""

    path: str
    tree: ast.Module
    mutants: tuple[Mutant, ...]


def module_of(path: str, used: frozenset[str]) -> Module:
    """All mutants of a file; `used`: names that are used at run time somewhere, see `used_names`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    return Module(path, tree, tuple(mutants_of(path, tree, used)))


def mutants_of(path: str, tree: ast.Module, used: frozenset[str]) -> Iterator[Mutant]:
    """All changes of one tree; it is changed for a moment, and as it was in the end."""
    seen: dict[tuple[str, str, str], int] = {}
    for mutant in _Walk(path, tree, used).mutants():
        same = (mutant.function, mutant.was, mutant.becomes)
        seen[same] = seen.get(same, -1) + 1
        yield mutant._replace(occurrence=seen[same])


def used_names(trees: Mapping[str, ast.Module]) -> frozenset[str]:
    """Names, each with its module, that something other than an annotation or a type alias reads."""
    found: set[str] = set()
    for module, tree in trees.items():
        imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in _runtime_nodes(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.add(imported.get(node.id, f"{module}.{node.id}"))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.add(f"{imported.get(node.value.id, node.value.id)}.{node.attr}")
    return frozenset(found)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, child in _children(node):
        if name not in ("annotation", "returns") and not is_type_alias(child):
            yield from _runtime_nodes(child)


def is_type_alias(node: ast.AST) -> bool:
    """`A = B | C` and `A = Literal[...]`: whether anything but types needs it, `used` tells."""
    return isinstance(node, ast.Assign) and (
        (isinstance(node.value, ast.Subscript) and ast.unparse(node.value.value) == "Literal")
        or (isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr))
        or (isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "TypeVar")
    )


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield name, child


class _Walk:
    """One walk through one file."""

    def __init__(self, path: str, tree: ast.Module, used: frozenset[str]) -> None:
        self.path, self.tree, self.used = path, tree, used
        self.wrapped = False  # by a decorator

    def mutants(self) -> Iterator[Mutant]:
        yield from self._body(self.tree, (), "")

    def _body(self, node: ast.AST, scope: tuple[str, ...], function: str) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(node):
            for position, child in enumerate(value if isinstance(value, list) else ()):
                if isinstance(child, ast.stmt) and not self._left_alone(child):
                    place = Place(node, field, position, child)
                    yield from self._statement(place, child, function)
                    yield from self._inner(child, scope, function)
                elif isinstance(child, ast.match_case | ast.ExceptHandler):
                    yield from self._body(child, scope, function)

    def _inner(
        self, statement: ast.stmt, scope: tuple[str, ...], function: str
    ) -> Iterator[Mutant]:
        outside = self.wrapped
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            scope = (*scope, statement.name)
            decorators = {ast.unparse(by) for by in statement.decorator_list}
            self.wrapped |= bool(decorators - {"property"})
            if isinstance(statement, ast.FunctionDef):
                function = function or ".".join(scope)
        yield from self._body(statement, scope, function)
        self.wrapped = outside

    def _left_alone(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return True
        if is_type_alias(statement):
            assert isinstance(statement, ast.Assign)
            module = self.path.removesuffix(".py").replace("/", ".")
            names = {f"{module}.{ast.unparse(target)}" for target in statement.targets}
            return not names & self.used
        return isinstance(statement, ast.Expr) and (
            isinstance(statement.value, ast.Constant)
            or ast.unparse(statement).startswith("assert_never(")
        )

    def _statement(self, itself: Place, statement: ast.stmt, function: str) -> Iterator[Mutant]:
        """The changes of one statement, those of the statements in it not included."""
        was = text_of(statement)
        at_import = not function or self.wrapped
        for place in (itself, *_expressions(statement)):
            lines = _lines(statement, place.node)
            for other in replacements(place.node, place.parent, place.field):
                with _changed(place, other):
                    becomes = text_of(other if place is itself else statement)
                yield Mutant(
                    self.path, function, was, becomes, 0, at_import, lines, place, other
                )  # fmt: skip


def _lines(statement: ast.stmt, node: ast.AST) -> range:
    """Of the statement; of one that holds others its head, or the case in which the node is."""
    begins, ends = statement.lineno, statement.end_lineno or statement.lineno
    inner = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if inner:
        first = inner[0].pattern if isinstance(inner[0], ast.match_case) else inner[0]
        ends = max(begins, first.lineno - 1)
    if isinstance(node, ast.match_case):
        node = node.pattern
    at = getattr(node, "lineno", begins)
    return range(begins, ends + 1) if at <= ends else range(at, at + 1)


def _expressions(statement: ast.stmt) -> Iterator[Place]:
    """Every node that belongs to the statement itself."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        parent = waiting.pop(0)
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "ctx", "decorator_list", "bases", "op"):
                continue
            if field == "msg" and isinstance(parent, ast.Assert):
                continue
            if isinstance(parent, ast.FunctionDef) and field != "args":
                continue
            many = isinstance(value, list)
            for position, child in enumerate(value if many else (value,)):
                if isinstance(child, ast.AST) and not _apart(child):
                    yield Place(parent, field, position if many else None, child)
                    waiting.append(child)


def _apart(node: ast.AST) -> bool:
    """A statement of its own, or the end of a match that no value reaches."""
    return isinstance(node, ast.stmt) or (
        isinstance(node, ast.match_case) and ast.unparse(node.body[0]).startswith("assert_never(")
    )


def text_of(node: Any) -> str:
    """A statement in one line; of one that holds others, its head (of a match, its cases too)."""
    if isinstance(node, ast.Match):
        cases = (
            ast.unparse(case.pattern) + (f" if {ast.unparse(case.guard)}" if case.guard else "")
            for case in node.cases
        )
        return f"match {ast.unparse(node.subject)}: {' / '.join(cases)}"
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return f"def {node.name}({ast.unparse(node.args)})" if hasattr(node, "args") else node.name
    lines = ast.unparse(node).splitlines()
    return lines[0] if isinstance(node, HEADERS) else " ".join(map(str.strip, lines))
