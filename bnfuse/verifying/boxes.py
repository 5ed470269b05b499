"""Non-maximum suppression in float64, one row of overlaps at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["overlaps", "selected"]

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
