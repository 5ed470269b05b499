"""Who is given up after how many simulated runs: ``python -m benchmarks.doubt``.

Where a candidate lies beyond its bound, rounding is simulated in rounds of 2, 8, 16 and 32 runs,
and after each it is given up, or passes, or takes the next (see
:mod:`bnfuse.verifying.comparing.doubt`). Here every pair of :mod:`benchmarks.verification`'s small
nets, and of depthwise-separable ones, that comes into doubt takes all 32 on the inputs on which it
is furthest beyond, and what each round showed is kept. From that follow both errors of stopping
early: a right candidate that was given up though 32 runs excuse it, and one that passed though 32
runs do not excuse it. Other limits are tried beside today's.

A wrong candidate that is so far beyond that none is simulated is counted, and takes none here.
Exits with 1 if today's limits lead to another verdict than 32 runs.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from benchmarks.environment import RESULTS, save
from benchmarks.verification import BROKEN_NETS, NETS, RIGHT, breakages
from bnfuse.verifying import verify
from bnfuse.verifying.comparing import contest, doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

    from bnfuse.verifying.comparing.doubt import Again
    from bnfuse.verifying.verdicts.result import Parity
    from bnfuse.verifying.verdicts.thresholds import Thresholds

# Seeds of the nets whose right folds lie furthest beyond, and are dear.
_SEPARABLE = 3
# Limits that are tried beside today's: parts of them, and multiples.
FACTORS = (0.1, 0.3, 1.0, 3.0)
NEARLY = (0.3, 0.5, doubt.NEARLY, 1.0)


@dataclass(frozen=True)
class Doubted:
    """One regime of one pair that came into doubt.

    Attributes:
        label: The pair and the regime.
        right: Whether the candidate is right.
        used: The part of its bound that it used, by how many runs were simulated.
    """

    label: str
    right: bool
    used: dict[int, float] = field(default_factory=dict)

    def passes(self, factor: float = 1.0, nearly: float = doubt.NEARLY) -> tuple[bool, int]:
        """Return whether it would pass by such limits, and after how many runs that is known."""
        done = 0
        for draws, near in doubt.ROUNDS:
            if self.used[done] >= near * factor or self.used[done] <= (nearly if done else 1.0):
                break
            done = draws
        return self.used[done] <= 1.0, done

    @property
    def deserved(self) -> bool:
        """Whether it passes with all runs."""
        return self.used[doubt.ROUNDS[-1][0]] <= 1.0


def doubted(label: str, one: onnx.ModelProto, two: onnx.ModelProto, right: bool) -> list[Doubted]:
    """Return the regime of a pair that comes into doubt most, if one does, all runs drawn."""
    found: list[Doubted] = []

    def settled(
        rows: tuple[Parity, ...], again: Again, thresholds: Thresholds, approximates: bool
    ) -> tuple[Sequence[Parity], int]:
        del approximates
        for regime, entry in doubt.doubts(rows, thresholds).items():
            if 1.0 < entry.used < (math.inf if right else doubt.ROUNDS[0][1]):
                item = Doubted(f"{label}, {regime}", right, {0: entry.used})
                for draws, _ in doubt.ROUNDS:
                    rows = tuple(again(regime, draws) or rows)
                    item.used[draws] = doubt.doubts(rows, thresholds)[regime].used
                found.append(item)
            break
        return rows, 0

    with mock.patch.object(contest, "settled", settled):
        verify(one, two, providers=["cpu"], proof="none")
    return found


def pairs(
    right: range, wrong: range, folder: Path
) -> Iterator[tuple[str, onnx.ModelProto, onnx.ModelProto, bool]]:
    """Yield pairs of the small nets: what to call one, both models, whether the second is right."""
    from verification_separable import folded, separable

    for net, build in NETS.items():
        for seed in right:
            for how, make in RIGHT.items():
                with contextlib.suppress(ImportError):
                    yield f"{net} {seed} {how}", build(seed), make(net, seed, folder), True
        for seed in wrong if net in BROKEN_NETS else ():
            for name, _, broken in breakages(net, seed):
                yield f"{net} {seed} {name}", build(seed), broken, False
    for seed in right[:_SEPARABLE]:
        net = separable(seed)
        yield f"separable {seed}", net, folded(net), True


def rates(found: Sequence[Doubted], factor: float, nearly: float) -> dict[str, float]:
    """Return what limits lead to: both errors, and simulated runs for each that is in doubt."""
    judged = [(item, *item.passes(factor, nearly)) for item in found]
    return {
        "factor": factor,
        "nearly": nearly,
        "accused": sum(item.right and item.deserved and not passes for item, passes, _ in judged),
        "excused": sum(not item.deserved and passes for item, passes, _ in judged),
        "runs": sum(runs for *_, runs in judged) / max(len(judged), 1),
    }


def main() -> int:
    """Print what limits lead to and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="of every small net (default 2)")
    parser.add_argument(
        "--right", type=int, default=8, help="seeds whose right candidates are judged (default 8)"
    )
    parser.add_argument("--first", type=int, default=9000, help="the first seed (default 9000)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the result")
    options = parser.parse_args()
    start = time.process_time()
    first = options.first
    right_seeds, wrong_seeds = (
        range(first, first + options.right),
        range(first, first + options.seeds),
    )
    counts = {True: 0, False: 0}
    found: list[Doubted] = []
    with tempfile.TemporaryDirectory() as folder:
        for label, one, two, right in pairs(right_seeds, wrong_seeds, Path(folder)):
            counts[right] += 1
            fresh = doubted(label, one, two, right)
            for item in fresh:
                told = ", ".join(f"{used:.3g} after {runs}" for runs, used in item.used.items())
                print(f"{'right' if item.right else 'wrong'}: {item.label}: {told}", flush=True)
            found += fresh
    table = [rates(found, factor, doubt.NEARLY) for factor in FACTORS]
    table += [rates(found, 1.0, nearly) for nearly in NEARLY if nearly != doubt.NEARLY]
    for entry in table:
        print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()))
    # What is furthest beyond its bound and excused later, for each round.
    furthest = {
        draws: max((i.used[before] for i in found if i.deserved), default=0.0)
        for before, (draws, _) in zip((0, 2, 8, 16), doubt.ROUNDS, strict=True)
    }
    print("furthest beyond its bound that all runs excuse, by the round before:", furthest)
    save(
        "doubt",
        {
            "first_seed": options.first,
            "seeds": options.seeds,
            "right_seeds": options.right,
            "right": counts[True],
            "wrong": counts[False],
            "doubted_right": sum(item.right for item in found),
            "doubted_wrong": sum(not item.right for item in found),
            "limits": table,
            "furthest": {str(draws): used for draws, used in furthest.items()},
            "processor_seconds": round(time.process_time() - start),
            "doubted": [asdict(item) for item in found],
        },
        options.out,
    )
    today = rates(found, 1.0, doubt.NEARLY)
    return 1 if today["accused"] or today["excused"] else 0


if __name__ == "__main__":
    sys.exit(main())
