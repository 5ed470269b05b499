"""Sizes of axes: numbers, symbols that the inputs declare, and products of both."""

from __future__ import annotations

__all__ = ["OPEN", "TIMES", "Shape", "Size", "count_of", "is_told", "product", "quotient"]

from collections import Counter
from collections.abc import Iterable

Size = int | str | None
"""A number, a product with symbols in it, or ``None``, of which nothing is known."""

Shape = tuple[Size, ...]

OPEN = "?"
"""What the name of a size begins with that no input declares: it means nothing in another graph."""

TIMES = "\0"
"""Between the number and the symbols of a product."""


def is_told(size: object) -> bool:
    """Whether a size is a number, or is made of what the inputs declare."""
    return isinstance(size, int) or (isinstance(size, str) and OPEN not in size)


def count_of(size: int | str) -> int:
    """The number in a product."""
    return size if isinstance(size, int) else int(size.partition(TIMES)[0]) if TIMES in size else 1


def product(sizes: Iterable[Size]) -> Size:
    """How many elements sizes come to; equal products are equal as they are written."""
    factors = _factors(sizes)
    return None if factors is None else _written(*factors)


def quotient(whole: Iterable[Size], part: Iterable[Size]) -> Size:
    """What the sizes in ``part`` lack to be as many as those in ``whole``; ``None`` if unclear."""
    dividend, divisor = _factors(whole), _factors(part)
    if dividend is None or divisor is None or not divisor[0] or dividend[0] % divisor[0]:
        return None
    if divisor[1] - dividend[1]:
        return None
    return _written(dividend[0] // divisor[0], dividend[1] - divisor[1])


def _factors(sizes: Iterable[Size]) -> tuple[int, Counter[str]] | None:
    number, names = 1, Counter[str]()
    for size in sizes:
        if size is None:
            return None
        if isinstance(size, str):
            *first, name = size.split(TIMES, 1)
            number *= int(first[0]) if first else 1
            names.update(name.split(TIMES))
        else:
            number *= size
    return number, names


def _written(number: int, names: Counter[str]) -> Size:
    if not names or not number:
        return number
    text = TIMES.join(sorted(names.elements()))
    return text if number == 1 and names.total() == 1 else f"{number}{TIMES}{text}"
