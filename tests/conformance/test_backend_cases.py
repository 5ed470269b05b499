"""The backend tests of the onnx package keep their outputs, their interface and their validity."""

from __future__ import annotations

from nightly import NIGHTLY
from onnx_cases import all_cases, light_cases
from outcome import Status, judge

GOOD = {Status.PASSED, Status.UNTOUCHED}
EVERY = 1 if NIGHTLY else 16
"""The ordinary run takes every sixteenth case of an operator, so that it takes seconds."""


def test_operators_and_shipped_models() -> None:
    assert not failures(all_cases(EVERY))


def test_nets_of_the_model_zoo() -> None:
    small = ("light_shufflenet", "light_squeezenet")
    assert not failures(case for case in light_cases() if NIGHTLY or case.name in small)


def failures(cases) -> list[str]:
    outcomes = [(case, judge(case)) for case in cases]
    assert outcomes
    return [
        f"{case.kind} {case.name}: {outcome.reason}"
        for case, outcome in outcomes
        if outcome.status not in GOOD
    ]
