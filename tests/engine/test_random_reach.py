"""Seeded random graphs keep their function, and between them norms pass every rule."""

from __future__ import annotations

from collections import Counter

from graphs import assert_same_function, fold_model
from random_graphs import seeded_model

from bnfuse.folding.rules import RULES

GRAPHS = 500
ENOUGH = 2
MADE_BY_LIFTING = {"Affine", "Linear"}


def test_norms_pass_every_rule_and_the_function_stays() -> None:
    reached: Counter[str] = Counter()
    sides: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    rule_of = {op_type: type(rule).__name__ for rule in RULES for op_type in rule.op_types}
    for seed in range(GRAPHS):
        result = fold_model(seeded_model(seed))
        assert_same_function(result)
        for site in result.sites:
            reached.update({rule_of[op_type] for op_type in site.through})
        merged.update(f"{merge.kind} {merge.into.split()[0]}" for merge in result.log.merges)
        for derivation in result.lowered.derivations:
            linear = derivation.linear
            sides.update(f"{linear.op_type} {step.side}" for step in linear.history)
    expected = {rule_of[op_type] for op_type in rule_of.keys() - MADE_BY_LIFTING}
    rare = {rule: reached[rule] for rule in expected if reached[rule] < ENOUGH}
    assert not rare, f"too few norms pass {rare}"
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
