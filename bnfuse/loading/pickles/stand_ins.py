"""Stand-ins for what a file imports and its model does not need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bnfuse.loading.pickles.symbols import Call

__all__ = ["CompiledWrapper", "Inert", "stand_in"]


class Inert:
    """Takes any arguments and any state, and does nothing with them."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Ignore whatever the file would have passed."""
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore whatever the file would have set."""


class _InertList(Inert):
    """For what is appended to: torch's restricted unpickler fills plain lists only."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """A list, whatever the file would have made."""
        return []


class _InertDict(Inert):
    """For what is filled by key: torch's restricted unpickler fills plain dicts only."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """A dict, whatever the file would have made."""
        return {}


class CompiledWrapper:
    """In the place of ``torch.compile``'s wrapper: keeps the module and drops the compiler."""

    def __init__(self, original: Any = None, *_: Any) -> None:
        self.original = original

    def __setstate__(self, state: Any) -> None:
        """Ignore the compiler's state."""


def stand_in(calls: Iterable[Call]) -> type[Inert]:
    """A new class to stand for the one that makes ``calls``; torch tells them apart by identity."""
    base = Inert
    for call in calls:
        if call.items:
            base = _InertList
        elif call.pairs:
            base = _InertDict
    return type("Inert", (base,), {})
