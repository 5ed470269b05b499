"""Searching for the one size that an input's first layer leaves open.

A network that ends in Flatten → Linear accepts one size only. What its Linear gets grows with the
image, so a failed pass says which way to go, and some ten passes find the size among a thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfuse.examples.trial import Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bnfuse.examples.trial import Trial

__all__ = ["search_size"]

_LARGEST = 1024
_COMMON = (8, 16, 28, 32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 299, 320, 384, 448, 512, 640)


def search_size(sizes: Sequence[int], attempt: Callable[[int], Trial]) -> int | None:
    """A size that is accepted.

    Args:
        sizes: To try, the likeliest first; empty where there is no size to choose.
        attempt: Makes a pass with one size.

    Returns:
        The size (0 where there is none to choose), or None if none was accepted. Among sizes that a
        floor division makes equal, one that people use.
    """
    if not sizes:
        return 0 if attempt(0).fit is Fit.ACCEPTED else None
    low, high = 0, _LARGEST + 1
    for size in sizes:
        if not low < size < high:
            continue
        fit = attempt(size).fit
        if fit is Fit.ACCEPTED:
            return size
        if fit is Fit.TOO_SMALL:
            low = size
        elif fit is Fit.TOO_LARGE:
            high = size
    if low == 0 and high > _LARGEST:
        return None
    return _bisect(low, high, attempt)


def _bisect(low: int, high: int, attempt: Callable[[int], Trial]) -> int | None:
    while high - low > 1:
        # Upwards by doubling: a pass costs the square of the size.
        size = (low + high) // 2 if high <= _LARGEST else min(2 * low, _LARGEST)
        fit = attempt(size).fit
        if fit is Fit.ACCEPTED:
            return _common_size(size, low, high, attempt)
        if fit is Fit.TOO_LARGE:
            high = size
        elif fit is Fit.TOO_SMALL and size < _LARGEST:
            low = size
        else:
            return None
    return None


def _common_size(found: int, low: int, high: int, attempt: Callable[[int], Trial]) -> int:
    near = sorted((size for size in _COMMON if low < size < high), key=lambda s: abs(s - found))
    for size in near[:3]:
        if size == found or attempt(size).fit is Fit.ACCEPTED:
            return size
    return found
