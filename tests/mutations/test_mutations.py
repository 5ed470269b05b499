"""Every rule is needed: break each in turn, and a small set of graphs tells.

A mistake counts as noticed when a fold gives another function, another name's value or an invalid
model, when the derivation of a constant disagrees, or when the fold cannot go on.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mutation import Mutation
from mutation_detector import PROBES, cases
from mutation_list import MUTATIONS
from reach import Reach


@pytest.fixture(scope="module")
def detector() -> list[Reach[None]]:
    """What checks the folds; what calls the fewest functions says most about each of them."""
    made = map(Reach.of, (*PROBES, *(case.check for case in cases())))
    return sorted(made, key=lambda check: len(check.calls))


def test_nothing_is_noticed_where_nothing_is_wrong(detector: list[Reach[None]]) -> None:
    for check in detector:
        check.work()


def test_no_mutation_is_listed_twice() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 25


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_is_noticed(detector: list[Reach[None]], mutation: Mutation) -> None:
    checks = [check.work for check in detector if check.can_tell(mutation)]
    with mutation.applied():
        assert any(map(_fails, checks)), f"nothing fails although {mutation.name}"


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:
        return True
    return False
