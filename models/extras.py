"""What only training needs is an optional dependency: its absence is told with its remedy."""

from __future__ import annotations

__all__ = ["extra_needed"]

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnfuse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra_needed(purpose: str) -> Iterator[None]:
    """Turn a failing import inside the block into an error that says what to install.

    Args:
        purpose: What the imports are for, the subject of the error's sentence.

    Raises:
        UsageError: If an import in the block fails.
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise UsageError(
            f"{purpose.capitalize()} needs the package {missing}, which is not installed.",
            "Install it with: pip install 'bnfuse[train]'.",
        ) from error
