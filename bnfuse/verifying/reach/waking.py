"""Inputs that make a graph take the sides of its bends which no sample took.

A channel that a Relu holds at zero on every sample hides whatever is wrong behind it. So inputs are
moved along the slope of what such channels lack, a few steps of Newton's from rows drawn as others
are, in float64 runs of the graph. What this does not wake is said.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.reach.leaning import lean, margin_of
from bnfuse.verifying.runtime.floats import is_float
from bnfuse.verifying.samples.drawing import Draw, Sample, Sizes
from bnfuse.verifying.truth.slopes import Tape, summed
from bnfuse.verifying.truth.sources import NoTruthError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from bnfuse.verifying.reach.leaning import Lean
    from bnfuse.verifying.samples.drawing import Draft
    from bnfuse.verifying.truth.branches import Target
    from bnfuse.verifying.truth.sources import OnnxTruth

__all__ = ["MOST_DEAR", "MOST_WORK", "waking"]

Array = np.ndarray[Any, Any]
# A side of a node, an axis, and a channel of it; -1 for the whole node.
Goal = tuple[str, str, int, int]

# Products that a search may take, and the most runs it is given for them.
_WORK = 1 << 31
_MOST_RUNS = 24
# Sides that all runs together look at: each is looked at by itself, whatever a run costs.
_MOST_LOOKS = 1 << 16
_MOST_SAMPLES = 2
# Rows that seek at a time where a run costs little: some, more for each side, and at most.
_ROWS, _ROWS_EACH, _MOST_ROWS = 24, 8, 128
# Runs of a trail that starts at other numbers when they are over.
_TRAIL = 8
MOST_WORK = _WORK // 5
"""Products of a run above which few runs are granted, from inputs that wake most at once."""
MOST_DEAR = 1 << 34
"""Products that all of these may take together."""
# The scales and the sizes of the squares of these inputs. Where numbers are large, a shift is
# small beside them: a channel that a shift keeps asleep is awake as often as any other.
_FAR = ((1000.0, 1), (300.0, 16))
_NEAR = ((1.0, 1),)
# The largest input.
_LARGEST = {2: 32.0}
_LARGEST_FLOAT = 2048.0
# How far a trail's first step goes, whatever a straight line promises, and what the others go more.
_ROOM, _WIDENING = 2.0, 16.0
# Channels that pull at one row at a time.
_PULLING = 128


@dataclass
class _Run:
    """One float64 run: what each row took, and where the inputs are to go."""

    rows: int
    taken: list[set[Goal]]
    pulls: Array
    seeds: dict[str, Array] = field(default_factory=dict)


def waking(
    truth: OnnxTruth,
    draft: Draft,
    sizes: Sizes,
    targets: Sequence[Target],
    work: int,
    granted: int = MOST_DEAR,
) -> list[Sample]:
    """Return inputs on which some of ``targets`` are taken.

    Args:
        truth: Runs the graph that has them.
        draft: What the other samples were drawn from.
        sizes: Which they had.
        targets: What no sample took.
        work: Products that a run of such a sample takes.
        granted: Products that all runs may take where one takes more than :data:`MOST_WORK`.
    """
    moved = [p.name for p in draft.ports if p.dims and p.dtype is not None and is_float(p.dtype)]
    if not moved or not targets:
        return []
    search = _Search(truth, draft, moved, targets)
    dear = work > MOST_WORK
    runs = min(
        (granted if dear else _WORK) // max(work, 1),
        _TRAIL if dear else _MOST_RUNS,
        max(_TRAIL, _MOST_LOOKS // len(search.wanted)),
    )
    batch = search.batch()
    if batch and not dear:
        # Where a run costs little, more rows seek at a time.
        rows = sizes.by_symbol[batch]
        wanted = min(_MOST_ROWS, _ROWS + _ROWS_EACH * len(search.wanted))
        more = max(rows, min(wanted, rows * _WORK // (_MOST_RUNS * max(work, 1))))
        sizes = Sizes({**sizes.by_symbol, batch: more})
    with suppress(NoTruthError):
        search.go(sizes, runs, _FAR if dear else _NEAR)
        if batch and not dear and any(len(port.dims or ()) > 3 for port in draft.ports):
            # Of a map one place may be awake that nothing reads: far inputs wake many.
            search.go(Sizes({**sizes.by_symbol, batch: 1}), 1, _FAR)
    return search.samples()


class _Search:
    def __init__(
        self, truth: OnnxTruth, draft: Draft, moved: list[str], targets: Sequence[Target]
    ) -> None:
        self._truth = truth
        self._draft = draft
        self._moved = moved
        self._targets: dict[str, list[Target]] = {}
        for item in targets:
            self._targets.setdefault(item.output, []).append(item)
        self._rng = np.random.default_rng(draft.seed)
        self._taken: set[Goal] = set()
        self._left = 0
        self._found: list[tuple[dict[str, Array], list[set[Goal]]]] = []
        self.wanted = {
            (item.node, item.side, item.axis, channel)
            for item in targets
            for channel in item.channels or (-1,)
        }

    def go(self, sizes: Sizes, runs: int, starts: Sequence[tuple[float, int]]) -> None:
        """Search as long as it is worth it.

        Args:
            sizes: Of the inputs.
            runs: How many at most.
            starts: What each trail begins with: the scale of its inputs and of their squares.
        """
        feeds: dict[str, Array] = {}
        self._taken = set()
        for step in range(runs):
            place = step % _TRAIL
            if place < len(starts):
                feeds = self._start(sizes, step, *starts[place])
            run, tape = self._run(feeds)
            fresh = [taken - self._taken for taken in run.taken]
            if any(fresh):
                self._found.append((feeds, run.taken))
                self._taken.update(*fresh)
            if self._taken == self.wanted:
                break
            if place + 1 >= len(starts):
                room = _ROOM * starts[-1][0] * _WIDENING ** (place + 1 - len(starts))
                feeds = self._further(feeds, run, tape.backward(run.seeds), room)

    def _start(self, sizes: Sizes, step: int, scale: float, square: int) -> dict[str, Array]:
        """Return inputs drawn anew and enlarged, with one number for each square of an image."""
        draw = Draw("signed", sizes, f"waking {step}", block=0)
        feeds = dict(self._draft.draw(draw).feeds)
        for name in self._moved if (scale, square) != (1.0, 1) else ():
            value = feeds[name]
            for axis in range(2, value.ndim) if value.ndim > 3 else ():
                places = np.arange(value.shape[axis]) // square * square
                value = value.take(places, axis=axis)
            low, high = self._bounds(name, value.dtype)
            feeds[name] = np.clip(scale * value, low, high).astype(value.dtype)
        return feeds

    def _run(self, feeds: Mapping[str, Array]) -> tuple[_Run, Tape]:
        first = feeds[self._moved[0]]
        rows = len(first) if first.ndim else 1
        run = _Run(rows, [set() for _ in range(rows)], np.zeros(rows))
        tape = Tape(self._moved)
        margins: dict[str, Array] = {}
        self._left = max(1, len(self.wanted - self._taken))

        def visit(node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            name = node.output[0] if node.output else ""
            margin = margin_of(node, inputs, margins)
            if margin is not None:
                margins[node.output[0]] = margin
            for target in self._targets.get(name, ()):
                found = lean(node, inputs, outputs, target.side, margins.get(node.input[0]))
                if found is not None:
                    self._note(run, target, found)

        self._truth.taped(feeds, tape, visit)
        return run, tape

    def _note(self, run: _Run, target: Target, found: Lean) -> None:
        """Note which goals a run took, and seed its slopes by others."""
        score = np.asarray(found.score, np.float64)
        alone = score.ndim == 0 or len(score) % run.rows > 0
        # The places of a sequence may have been counted as rows.
        split = not alone and len(score) > run.rows
        axis = target.axis + (alone or split) if target.channels else -1

        def by_row(value: Array) -> Array:
            """Bring rows first, channels second; what comes behind are places of the channel."""
            held = value.reshape(run.rows, -1, *value.shape[1:]) if split else value
            held = value[None] if alone else held
            return np.moveaxis(held, axis, 1) if axis > 0 else held[:, None]

        whole = by_row(score)
        flat = whole.reshape(*whole.shape[:2], -1)
        ways = by_row(found.goal()).reshape(flat.shape)
        if not flat.shape[2]:
            return
        places = flat.argmax(axis=2)
        best = np.take_along_axis(flat, places[..., None], axis=2)[..., 0]
        seed = np.zeros_like(flat)
        for channel in target.channels or (-1,):
            goal, column = (target.node, target.side, target.axis, channel), max(channel, 0)
            for row in np.flatnonzero(best[:, column] > 0):
                for own in range(run.rows) if alone else (int(row),):
                    run.taken[own].add(goal)
            if goal in self._taken or not np.isfinite(best[:, column]).any():
                continue
            # Few goals are tried for from many rows, and no row for more than it has to.
            tries = max(1, len(best) // self._left)
            order = self._rng.permutation(len(best))
            pulls = run.pulls[order] if not alone else order
            for row in order[np.argsort(pulls, kind="stable")][:tries]:
                if best[row, column] > 0 or (not alone and run.pulls[row] >= _PULLING):
                    continue
                run.pulls[slice(None) if alone else row] += 1
                place = row, column, places[row, column]
                seed[place] = 1.0 / ways[place]
        if not seed.any():
            return
        shaped = seed.reshape(whole.shape)
        back = np.moveaxis(shaped, 1, axis) if axis > 0 else shaped[:, 0]
        for name, sign, shape in found.by:
            part = summed(sign * back.reshape(score.shape), shape)
            run.seeds[name] = run.seeds[name] + part if name in run.seeds else part

    def _further(
        self, feeds: Mapping[str, Array], run: _Run, slopes: Mapping[str, Array], room: float
    ) -> dict[str, Array]:
        """Return the inputs moved so far that, on a straight line, each row takes its goals."""
        ways, gains = {}, np.zeros(run.rows)
        for name, slope in slopes.items():
            level = np.abs(slope.reshape(len(slope), -1)).max(axis=1) if slope.ndim else slope
            size = np.where(level > 0, level, 1.0).reshape(-1, *[1] * (slope.ndim - 1))
            # Between the slope, which a few numbers may dominate, and its sign.
            ways[name] = np.sign(slope) * np.sqrt(np.abs(slope) / size)
            part = (slope * ways[name]).reshape(len(slope), -1).sum(axis=1) if slope.ndim else 0.0
            gains = gains + (part if np.shape(part) == gains.shape else np.sum(part))
        far = np.divide(run.pulls, gains, out=np.zeros(run.rows), where=gains > 0).clip(max=room)
        further = dict(feeds)
        for name, way in ways.items():
            value = feeds[name]
            step = far.reshape(-1, *[1] * (value.ndim - 1)) if len(way) == run.rows else far.max()
            low, high = self._bounds(name, value.dtype)
            further[name] = np.clip(value + step * way, low, high).astype(value.dtype)
        return further

    def _bounds(self, name: str, dtype: np.dtype[Any]) -> tuple[float, float]:
        largest = _LARGEST.get(dtype.itemsize, _LARGEST_FLOAT)
        return self._draft.ranges.get(name, (-largest, largest))

    def samples(self) -> list[Sample]:
        """Return few samples that take together what was taken, made of rows where there are."""
        chosen: list[tuple[int, int]] = []
        options = {
            (n, row): taken
            for n, (_, runs) in enumerate(self._found)
            for row, taken in enumerate(runs)
            if taken
        }
        left: set[Goal] = set()
        # One row tells little of a channel: what is taken is taken by several, if there are.
        while options and len(chosen) < _MOST_ROWS:
            left = left or set().union(*options.values())
            best = max(options, key=lambda at: len(options[at] & left))
            chosen.append(best)
            left -= options.pop(best)
        if not chosen:
            return []
        if not self.batch():
            kept = dict.fromkeys(n for n, _ in chosen)
            return [Sample("found", self._found[n][0]) for n in list(kept)[:_MOST_SAMPLES]]
        rows = len(self._found[0][1])
        parts = [chosen[at : at + rows] for at in range(0, len(chosen), rows)][:_MOST_SAMPLES]
        return [
            Sample(
                "found",
                {
                    name: np.stack([self._found[n][0][name][row] for n, row in part])
                    for name in self._found[0][0]
                },
            )
            for part in parts
        ]

    def batch(self) -> str:
        """Return the one open batch of all inputs, of whose rows samples are made, or nothing."""
        dims = [self._draft.symbols(port) for port in self._draft.ports]
        first = {shape[0] if shape else 0 for shape in dims}
        name = first.pop()
        return name if isinstance(name, str) and not first else ""
