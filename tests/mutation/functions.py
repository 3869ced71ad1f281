"""A changed function in the place of the one that all who imported it hold."""

import importlib
from collections.abc import Iterator
from types import CodeType, FunctionType

from tests.mutation.mutants import Module, Mutant


def bring_in(module: Module, mutant: Mutant) -> None:
    """Exchange the code of the mutant's function; it must not be one that is wrapped by something."""
    with mutant.applied():
        whole = compile(module.tree, mutant.path, "exec")
    function = function_of(mutant)
    name, line = function.__qualname__, function.__code__.co_firstlineno
    (code,) = (c for c in _codes(whole) if c.co_qualname == name and c.co_firstlineno == line)
    function.__code__ = code


def function_of(mutant: Mutant) -> FunctionType:
    found: object = importlib.import_module(mutant.module)
    for name in mutant.function.split("."):
        found = found.__dict__[name]
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), mutant.key
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
