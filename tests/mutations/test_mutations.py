"""Every rule is needed: break each in turn, and a small set of graphs tells.

A mistake counts as noticed when a fold gives another function, another name's value or an invalid
model, when the derivation of a constant disagrees, or when the fold cannot go on.
"""

from __future__ import annotations

import pytest
from mutation import Mutation
from mutation_detector import PROBES, Case, cases
from mutation_list import MUTATIONS


@pytest.fixture(scope="module")
def detector() -> list[Case]:
    return list(cases())


def test_nothing_is_noticed_where_nothing_is_wrong(detector: list[Case]) -> None:
    for case in detector:
        case.check()
    for probe in PROBES:
        probe()


def test_no_mutation_is_listed_twice() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 25


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_is_noticed(detector: list[Case], mutation: Mutation) -> None:
    with mutation.applied():
        assert _is_noticed(detector), f"nothing fails although {mutation.name}"


def _is_noticed(detector: list[Case]) -> bool:
    for check in (*PROBES, *(case.check for case in detector)):
        try:
            check()
        except Exception:
            return True
    return False
