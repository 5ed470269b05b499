"""Is a wrong model ever proved? Every breakage of the verification benchmark is tried for proof.

    python -m benchmarks.proof_breakages [--seeds N] [--nets N] [--save]

Those of the small nets that the verifier was built on, of every constant of the nets of
:mod:`benchmarks.styles`, and those that few inputs show (:mod:`benchmarks.breakages`). Of what is
proved, the largest effect in float64 is told, relative to the output's largest number. Exits with 1
if it is more than rounding.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "verify"))

import numpy as np
from verification_mutations import breakages
from verification_nets import NETS

from benchmarks.breakages import HIDING, STYLED, constant_breakages, styled
from benchmarks.environment import save
from bnfuse.proving import prove
from bnfuse.verifying.runtime.onnx_models import signature_of
from bnfuse.verifying.samples.drawing import Draft, Draw
from bnfuse.verifying.samples.index_tables import index_limits
from bnfuse.verifying.samples.sizes import candidates
from bnfuse.verifying.truth.double import DoubleEvaluator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

_ROUNDING = 1e-6
"""A relative effect that stored constants that were rounded once explain."""


def main() -> int:
    """Try all, print and save the counts, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proof_breakages", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=1, help="of every small net (default 1)")
    parser.add_argument("--nets", type=int, help="of benchmarks.styles, the first (default all)")
    parser.add_argument("--save", action="store_true", help="save what was found")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    tried: Counter[str] = Counter()
    different: Counter[str] = Counter()
    proved: list[dict[str, Any]] = []
    for kind, name, right, wrong in _all(range(8000, 8000 + arguments.seeds), arguments.nets):
        tried[kind] += 1
        found = prove(right, wrong)
        different[kind] += found.difference is not None
        if found.proved:
            effect = _effect(right, wrong)
            proved.append({"kind": kind, "which": name, "units": found.units, "effect": effect})
            print(f"proved: {kind}, {name}: {found.units:.3g} units, effect {effect:.2g}")
    for kind in tried:
        count = sum(item["kind"] == kind for item in proved)
        told = f"{count} proved, of {different[kind]} the constant named"
        print(f"{kind}: {tried[kind]} tried, {told}")
    if arguments.save:
        data = {"tried": tried, "constant named": different, "proved": proved}
        print(f"saved to {save('proof_breakages', data)}")
    return int(any(item["effect"] > _ROUNDING for item in proved))


def _all(
    seeds: range, nets: int | None
) -> Iterator[tuple[str, str, onnx.ModelProto, onnx.ModelProto]]:
    for net in NETS:
        for seed in seeds if net != "deep" else ():
            for name, right, wrong in breakages(net, seed):
                yield "small nets", f"{net} {seed} {name}", right, wrong
    for name, hiding in HIDING.items():
        for seed in seeds:
            yield "what hides", f"{name} {seed}", *hiding.make(seed)
    for name in STYLED[:nets]:
        _, _, right = styled(name, seeds[0])
        for label, wrong in constant_breakages(right, seeds[0]):
            yield "constants of other nets", f"{name} {label}", right, wrong


def _effect(right: onnx.ModelProto, wrong: onnx.ModelProto) -> float:
    draft = Draft(signature_of(right).inputs, limits=index_limits(right), seed=0)
    most = 0.0
    for regime in ("signed", "wide", "edge"):
        feeds = draft.draw(Draw(regime, candidates(draft)[0][0])).feeds
        with np.errstate(all="ignore"):
            runs = [DoubleEvaluator(model).run(None, feeds) for model in (right, wrong)]
        for a, b in zip(*runs, strict=True):
            apart, size = (np.abs(np.asarray(x, np.float64)) for x in (a - b, a))
            most = max(most, float(apart.max(initial=0.0) / max(size.max(initial=0.0), 1e-300)))
    return most


if __name__ == "__main__":
    sys.exit(main())
