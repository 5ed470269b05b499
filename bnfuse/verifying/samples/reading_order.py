"""Tables with more rows than samples read: which are read first, and what is said of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnfuse.verifying.samples.index_tables import same_rows, suspects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = ["reading_order", "unread_rows"]

# Tables of so few rows are read as a whole whatever the sizes of the inputs.
_SURELY_READ = 256


def reading_order(
    tables: Mapping[str, int], original: OnnxSource | None, candidate: OnnxSource
) -> dict[str, Any]:
    """Return, for inputs with too many rows to read them all, which to read first."""
    large = [name for name, rows in tables.items() if rows > _SURELY_READ]
    if original is None or not large:
        return {}
    one, two = original.proto(), candidate.proto()
    found = {name: suspects(one, two, name) for name in large}
    return {name: order for name, order in found.items() if order is not None}


def unread_rows(
    name: str, read: int, rows: int, original: OnnxSource | None, candidate: OnnxSource
) -> str:
    """Return what is known of the rows of a table that no sample reads."""
    known = f"input {name!r} indexes {rows:,} rows, of which {read:,} and the last were read"
    if original is not None and same_rows(original.proto(), candidate.proto(), name):
        return f"{known}; both models hold the same rows, bit for bit"
    return f"{known}; to compare more, give the others with --inputs"
