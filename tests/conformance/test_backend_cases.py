"""The backend tests of the onnx package keep their outputs, their interface and their validity."""

from __future__ import annotations

import os

import pytest
from onnx_cases import SHIPPED, light_cases, node_cases, shipped_cases, with_constants, with_norms
from outcome import Status, judge

GOOD = {Status.PASSED, Status.UNTOUCHED}
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EVERY = 1 if NIGHTLY else 12
"""The ordinary run takes every twelfth case of an operator, so that it takes seconds."""


@pytest.mark.parametrize("variant", [lambda case: case, with_constants, with_norms])
def test_cases_of_operators(variant) -> None:
    cases = filter(None, map(variant, node_cases()[::EVERY]))
    assert not failures(cases)


@pytest.mark.parametrize("kind", SHIPPED)
def test_shipped_models(kind) -> None:
    assert not failures(shipped_cases(kind))


def test_nets_of_the_model_zoo() -> None:
    small = ("light_squeezenet",)
    assert not failures(case for case in light_cases() if NIGHTLY or case.name in small)


def failures(cases) -> list[str]:
    outcomes = [(case, judge(case)) for case in cases]
    assert outcomes
    return [
        f"{case.kind} {case.name}: {outcome.reason}"
        for case, outcome in outcomes
        if outcome.status not in GOOD
    ]
