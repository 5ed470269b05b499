"""The graph is whole after every single rule: valid, its interface as it was, the same function.

A fold may be stopped after any of its steps. What stands then must be a model like any other: the
ONNX checker and strict shape inference pass (``fold_model`` asks both), no internal op is left, no
name means something new.
"""

from __future__ import annotations

import graphs_of_linear_maps  # noqa: F401
import graphs_of_merges  # noqa: F401
import graphs_of_neighbours  # noqa: F401
import graphs_of_passes  # noqa: F401
import onnx
import pytest
from graphs import assert_same_function, fold_model
from mutation_registry import GRAPHS, model_of
from random_graphs import seeded_model

ORDER = {build.__name__: (shape, build) for shape, build in GRAPHS}


@pytest.mark.parametrize("name", ORDER)
def test_a_graph_for_a_rule_is_whole_after_every_step(name: str) -> None:
    _check_every_step(model_of(*ORDER[name]))


@pytest.mark.parametrize("seed", range(5000, 5012))
def test_a_random_graph_is_whole_after_every_step(seed: int) -> None:
    _check_every_step(seeded_model(seed))


def _check_every_step(model: onnx.ModelProto) -> None:
    steps = len(fold_model(model).log.applications)
    for limit in range(steps):
        result = fold_model(model, limit)
        assert len(result.log.applications) == limit
        assert_same_function(result, sizes=(2,))
