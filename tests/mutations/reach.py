"""What can tell that a mistake was made: whatever runs the statement that it is in.

Work that never runs a statement does the same whatever is wrong in it, so it need not be done again
for each of its mistakes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CodeType, FrameType
from typing import Any, Generic, TypeVar

from mutation import Mutation, nested
from mutation_list import MUTATIONS

T = TypeVar("T")
Trace = Callable[[FrameType, str, Any], Any]


@dataclass(frozen=True)
class Reach(Generic[T]):
    """Work that was done once with nothing wrong.

    Attributes:
        work: What does it again.
        result: What came of it.
        calls: The code of every function that it called.
        lines: The lines that it ran of the functions that mistakes are made in.
    """

    work: Callable[[], T]
    result: T
    calls: frozenset[CodeType]
    lines: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, work: Callable[[], T]) -> Reach[T]:
        calls: set[CodeType] = set()
        lines: set[tuple[str, int]] = set()
        watched = _watched()

        def run(frame: FrameType, event: str, _: object) -> Trace:
            if event == "line":
                lines.add((frame.f_code.co_filename, frame.f_lineno))
            return run

        def call(frame: FrameType, _event: str, _: object) -> Trace | None:
            calls.add(frame.f_code)
            return run if frame.f_code in watched else None

        before = sys.gettrace()
        sys.settrace(call)
        try:
            result = work()
        finally:
            sys.settrace(before)
        return cls(work, result, frozenset(calls), frozenset(lines))

    def can_tell(self, mutation: Mutation) -> bool:
        code = mutation.function_of().__code__
        statement = mutation.statement
        return code in self.calls and (
            statement is None or any((code.co_filename, line) in self.lines for line in statement)
        )


@cache
def _watched() -> frozenset[CodeType]:
    codes = [mutation.function_of().__code__ for mutation in MUTATIONS]
    return frozenset([*codes, *(inner for code in codes for inner in nested(code))])
