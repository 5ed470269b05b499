"""What can tell that a mistake was made: whatever calls the function that it is in.

Work that never calls a function does the same whatever is wrong in it, so it need not be done again
for each of its mistakes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Generic, TypeVar

from mutation import Mutation

T = TypeVar("T")


@dataclass(frozen=True)
class Reach(Generic[T]):
    """Work that was done once with nothing wrong.

    Attributes:
        work: What does it again.
        result: What came of it.
        calls: The code of every function that it called.
    """

    work: Callable[[], T]
    result: T
    calls: frozenset[CodeType]

    @classmethod
    def of(cls, work: Callable[[], T]) -> Reach[T]:
        calls: set[CodeType] = set()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call":
                calls.add(frame.f_code)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            result = work()
        finally:
            sys.setprofile(before)
        return cls(work, result, frozenset(calls))

    def can_tell(self, mutation: Mutation) -> bool:
        return mutation.function_of().__code__ in self.calls
