"""Every premise of the checker is needed: without it, a model that is another would be proved."""

from __future__ import annotations

from functools import cache

import pytest
from pairs_of_cuts import CUTS
from pairs_of_forms import FORMS
from pairs_of_graphs import GRAPHS
from pairs_of_laws import LAWS
from pairs_of_linear import LINEAR_OPS
from pairs_of_maps import MAPS
from pairs_of_moves import MOVES
from pairs_of_turns import TURNS
from premises import Pair, Site, granted, sites

PAIRS: tuple[Pair, ...] = (*LAWS, *FORMS, *LINEAR_OPS, *MAPS, *MOVES, *GRAPHS, *CUTS, *TURNS)

LIMITS: dict[str, str] = {
    "'a part whose size is not known'": "numpy has no such size",
}
"""Premises that no pair breaks alone, by what they say, and what they are for."""


@cache
def broken_by(pair: Pair) -> frozenset[Site]:
    """The premises that do not hold where the pair is proved without them."""
    with granted(pair.reason) as broken:
        proved = pair.is_proved()
    return frozenset(broken) if proved else frozenset()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.reason)
def test_one_premise_alone_refuses_what_is_not_the_same(pair: Pair) -> None:
    assert not pair.is_proved()
    assert broken_by(pair), "another premise refuses it as well"
    assert pair.is_wrong() or pair.why, "both are the same"


def test_every_premise_is_tried() -> None:
    tried = set().union(*map(broken_by, PAIRS))
    left = {site: said for site, said in sites().items() if site not in tried}
    unknown = [
        f"{name}.py:{line}: {said}" for (name, line), said in left.items() if said not in LIMITS
    ]
    assert not unknown, "\n".join(unknown)
