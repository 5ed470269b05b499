"""Seeded random graphs keep their function, and between them norms pass every rule."""

from __future__ import annotations

from collections import Counter

from graphs import assert_same_function, fold_model
from random_graphs import seeded_model

from bnfuse.folding.rules.row import Channels, Flow
from bnfuse.folding.table import REARRANGING, TABLE
from bnfuse.lifting.normalizer import NORMALIZERS

KIND_OF: dict[str, tuple[Flow, Channels | None]] = {
    **dict.fromkeys(REARRANGING, (Flow.THROUGH, None)),
    **{op_type: (row.flow, row.channels) for row in TABLE for op_type in row.ops},
}
GRAPHS = 500
ENOUGH = 2
OF_LATER_OPSETS = {"RMSNormalization"}


def test_norms_pass_every_rule_and_the_function_stays() -> None:
    reached: Counter[tuple[Flow, Channels | None]] = Counter()
    sides: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    took: Counter[str] = Counter()
    gave: Counter[str] = Counter()
    for seed in range(GRAPHS):
        result = fold_model(seeded_model(seed))
        assert_same_function(result)
        for site in result.sites:
            reached.update({KIND_OF[op_type] for op_type in site.through})
            took.update({name.split()[0] for name in site.into} & NORMALIZERS)
            gave.update(site.spelling if site.kind == "affine" and site.folded else ())
        merged.update(f"{merge.kind} {merge.into.split()[0]}" for merge in result.log.merges)
        for derivation in result.lowered.derivations:
            linear = derivation.linear
            sides.update(f"{linear.op_type} {step.side}" for step in linear.history)
    rare = {kind: reached[kind] for kind in KIND_OF.values() if reached[kind] < ENOUGH}
    assert not rare, f"too few norms pass {rare}"
    normalizers = NORMALIZERS - OF_LATER_OPSETS
    assert all(counts[name] >= ENOUGH for counts in (took, gave) for name in normalizers)
    linear_ops = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    pairs = {f"{op_type} {side}" for op_type in linear_ops for side in ("after", "before")}
    assert pairs <= sides.keys()
    merges = {
        "parallel Conv",
        "padding Conv",
        *(f"sequence {op}" for op in ("Conv", "Gemm", "MatMul")),
    }
    rare_merges = {merge: merged[merge] for merge in merges if merged[merge] < ENOUGH}
    assert not rare_merges, f"too few maps merge: {rare_merges}"
