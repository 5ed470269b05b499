"""Non-maximum suppression in float64, one row of overlaps at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["overlaps", "selected", "selection_gaps"]

Array = np.ndarray[Any, Any]


def corners(boxes: Array, centred: bool) -> Array:
    """Return boxes (N, 4) as their lower and upper ends along two axes."""
    if centred:
        half = boxes[:, 2:] / 2
        return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)


def overlaps(one: Array, others: Array) -> Array:
    """Return the intersections over unions of one box with others, all given by their ends."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    area = (one[2:] - one[:2]).prod()
    union = area + areas - shared
    some = (shared > 0) & (areas > 0) & (area > 0) & (union > 0)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=some))


def selected(
    boxes: Array,
    scores: Array,
    most: int,
    overlap: float,
    least: float | None,
    centred: bool = False,
) -> Array:
    """Return what ``NonMaxSuppression`` does: rows of batch, class and box.

    Args:
        boxes: (batch, boxes, 4).
        scores: (batch, classes, boxes).
        most: Boxes to select of each class.
        overlap: Above which a box is suppressed by a better one.
        least: The score above which a box counts at all, if there is one.
        centred: Whether boxes are centres and sizes rather than corners.
    """
    found: list[tuple[int, int, int]] = []
    for batch in range(len(boxes)):
        ends = corners(boxes[batch], centred)
        for kind in range(scores.shape[1]):
            score = scores[batch, kind]
            left = np.argsort(-score, kind="stable")
            left = left if least is None else left[score[left] > least]
            count = 0
            while left.size and count < most:
                best, left = int(left[0]), left[1:]
                found.append((batch, kind, best))
                count += 1
                left = left[overlaps(ends[best], ends[left]) <= overlap]
    return np.array(found, np.int64).reshape(-1, 3)


def selection_gaps(
    exact: Sequence[Array], rough: Sequence[Array | None], chosen: Array, centred: bool
) -> Array | None:
    """Return by how many errors boxes would have to be off for a selection to be the right one.

    Args:
        exact: The op's inputs in float64.
        rough: Boxes and scores of an honest run; None where they are exact.
        chosen: The selection, rows of batch, class and box.
        centred: Whether boxes are centres and sizes rather than corners.

    Returns:
        One number for each condition that the exact scores and overlaps do not meet: that a box
        counts, that better boxes come first, that none is left that nothing suppresses. None if
        the selection's indices are none.
    """
    boxes, scores = exact[:2]
    most, overlap, *rest = (float(value.reshape(-1)[0]) for value in exact[2:])
    least = rest[0] if rest else -np.inf
    off = [value if value is not None and value.shape == true.shape else true
           for value, true in zip(rough, exact, strict=False)]  # fmt: skip
    if chosen.ndim != 2 or (chosen < 0).any():
        return None
    if chosen.size and (chosen.max(axis=0) >= [*scores.shape]).any():
        return None
    error = float(np.abs(off[1] - scores).max(initial=0.0))
    found: list[Array] = []
    for batch in range(len(boxes)):
        ends, moved = corners(boxes[batch], centred), corners(off[0][batch], centred)
        for kind in range(scores.shape[1]):
            taken = chosen[(chosen[:, 0] == batch) & (chosen[:, 1] == kind), 2]
            score = scores[batch, kind]
            if len(np.unique(taken)) < len(taken) or len(taken) > most:
                return None
            none = np.zeros((0, len(ends)))
            shared = np.array([overlaps(ends[i], ends) for i in taken]) if taken.size else none
            rougher = np.array([overlaps(moved[i], moved) for i in taken]) if taken.size else none
            apart = float(np.abs(shared - rougher).max(initial=0.0))
            found.append(_errors(least - score[taken], error))
            found.append(_errors(np.diff(score[taken]), error))
            found.append(_errors(np.tril(shared[:, taken] - overlap, -1).ravel(), apart))
            left = np.setdiff1d(np.arange(len(ends)), taken)
            ways = [_errors(score[left] - least, error)]
            if taken.size:
                better = _errors(score[left] - score[taken][:, None], error)
                ways.append(
                    np.maximum(_errors(overlap - shared[:, left], apart), better).min(axis=0)
                )
            if len(taken) == most:
                last = score[taken[-1]] if taken.size else np.inf
                ways.append(_errors(score[left] - last, error))
            found.append(np.minimum.reduce(ways))
    gaps = np.concatenate(found) if found else np.zeros(0)
    return gaps[gaps > 0]


def _errors(gap: Array, error: float) -> Array:
    """Return how many errors a gap is, 0 where there is none."""
    wide = np.maximum(gap, 0.0)
    return np.divide(wide, error) if error > 0 else np.where(wide > 0, np.inf, 0.0)
