"""Break one function of the package in place: a fragment of its source is replaced by another."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Mutation:
    """A mistake that could have been made.

    Attributes:
        name: What is wrong, in words.
        module: The module, below ``bnfuse``.
        function: The function's qualified name.
        old: A fragment that occurs once in the function.
        new: What stands there instead.
    """

    name: str
    module: str
    function: str
    old: str
    new: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run with the mistake; every reference to the function sees it."""
        function = self.function_of()
        right = function.__code__
        function.__code__ = self._code(function)
        try:
            yield
        finally:
            function.__code__ = right

    def function_of(self) -> FunctionType:
        """The function that is broken."""
        found: object = importlib.import_module(f"bnfuse.{self.module}")
        for part in self.function.split("."):
            found = inspect.getattr_static(found, part)
        if isinstance(found, property):
            found = found.fget
        if isinstance(found, functools.cached_property):
            found = found.func
        if isinstance(found, classmethod | staticmethod):
            found = found.__func__
        assert isinstance(found, FunctionType), f"{self.function} is no function"
        return found

    @functools.cached_property
    def statement(self) -> range | None:
        """The lines of the smallest statement that has the fragment.

        ``None`` where the mistake is one of the whole function: no statement has all of it, or
        with it the function is of another kind or has other variables.
        """
        function = self.function_of()
        right, wrong = function.__code__, self._code(function)
        if any(getattr(right, what) != getattr(wrong, what) for what in _OF_THE_WHOLE):
            return None
        module = inspect.getmodule(function)
        assert isinstance(module, ModuleType)
        text = inspect.getsource(function)
        first = right.co_firstlineno + text[: text.index(self.old)].count("\n")
        last = first + self.old.count("\n")
        around = [
            range(node.lineno, (node.end_lineno or node.lineno) + 1)
            for node in ast.walk(_tree(inspect.getsource(module)))
            if isinstance(node, ast.stmt)
            and node.lineno <= first
            and last <= (node.end_lineno or node.lineno)
        ]
        smallest = min(around, key=len)
        return smallest if smallest.start > right.co_firstlineno else None

    def _code(self, function: FunctionType) -> CodeType:
        module = inspect.getmodule(function)
        assert isinstance(module, ModuleType)
        source, text = inspect.getsource(module), inspect.getsource(function)
        count = text.count(self.old)
        assert count == 1, (
            f"{self.module}.{self.function} holds {self.old!r} {count} times: "
            f"the code has changed, so write this mutation anew\n{textwrap.indent(text, '    ')}"
        )
        mutated = source.replace(text, text.replace(self.old, self.new))
        compiled = compile(mutated, str(module.__file__), "exec", dont_inherit=True)
        return next(code for code in nested(compiled) if code.co_qualname == self.function)


_OF_THE_WHOLE = ("co_flags", "co_varnames", "co_cellvars", "co_freevars")


@functools.cache
def _tree(source: str) -> ast.Module:
    return ast.parse(source)


def nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from nested(constant)
