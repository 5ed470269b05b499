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
from pairs_of_models import MODELS
from pairs_of_moves import MOVES
from pairs_of_turns import TURNS
from premises import Pair, Site, granted, sites

PAIRS: tuple[Pair, ...] = (
    *LAWS,
    *FORMS,
    *LINEAR_OPS,
    *MAPS,
    *MOVES,
    *GRAPHS,
    *CUTS,
    *TURNS,
    *MODELS,
)

LIMITS: dict[str, str] = {}
"""Premises that no pair breaks alone, by module and what they say, and what they are for."""

for _reason, _said in {
    "without it Python or numpy raises, which ends the whole search": """
        channels: f'{node.op} is told at run time what to move'
        attributes: f'{op} has other outputs'
        check: 'shapes of different ranks'
        check: 'nothing is known of what it is a form of'
        forms: 'it is computed from other values'
        forms: 'sizes that are not known'
        laws: 'a part whose size is not known'
        linear: f'{node.op} is not linear'
        linear: 'a constant'
        linear: 'a product of two computed values'
        linear: 'channels that are not known'
        linear: 'BatchNormalization of a value of one axis'
        linear: 'Expand of several numbers'
        linear: 'Sum with a constant'
        maps: 'a map of a ConvTranspose has no form'
        maps: 'channels that do not fit'
        moving: f'{node.op} of what has no form'
        moving: 'a part that is left out'
        moving: 'elements that are not counted'
        moving: 'indices of no elements'
        moving: 'more axes than there are'
        nodes: "an attribute refers to a function's"
        relations: 'two constants of different lengths'
        relations: 'sizes that are not known'
        relations: 'a block of another or too large a size'
        turned: 'all axes, or none'
        turned: 'another constant'
        values: f'no node gives {name!r}'
        values: f'{name!r} has no float type that the laws speak of'
    """,
    "how much memory and time a proof may take": """
        channels: 'too many elements to follow'
        linear: 'a form of too many nodes'
        linear: 'too many forms of what was moved'
        maps: 'a composed form would be too large'
        maps: 'a dense form would be too large'
        moving: 'a form of what was moved would be too large'
    """,
    "it says more clearly what another premise refuses as well": """
        channels: 'channels that are not counted'
        check: f'{node.op} has several results'
        check: f'no axis of {a!r}'
        check: f'there is no law {cut.law!r}'
        check: 'a value is named twice'
        check: 'an order of other axes'
        check: 'nothing is turned'
        graph: 'an output has no producer'
        linear: 'Expand of what is computed'
        step: what
        turned: 'operands of different ranks'
    """,
    "tried with files in test_what_was_proved.py": """
        graph: 'a constant in a body or an attribute lies in another file'
    """,
}.items():
    LIMITS.update(dict.fromkeys(map(str.strip, _said.strip().splitlines()), _reason))


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
    left = [f"{name}: {said}" for (name, _), said in sites().items()]
    open_ = [
        f"{name}: {said}" for (name, line), said in sites().items() if (name, line) not in tried
    ]
    assert not [premise for premise in open_ if premise not in LIMITS]
    assert LIMITS.keys() <= {*left}
