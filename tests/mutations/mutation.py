"""Break one function of the package in place: a fragment of its source is replaced by another."""

from __future__ import annotations

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
        return next(code for code in _nested(compiled) if code.co_qualname == self.function)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)
