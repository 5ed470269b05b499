"""Any graph, folded in double precision, is the same function to 1e-10, and folds only once."""

from __future__ import annotations

import onnx
import pytest
from graphs import assert_same_function, fold_model
from hypothesis import given
from hypothesis import strategies as st
from random_graphs import RandomNet, seeded_model, with_shared_weights


@given(st.data())
def test_folding_keeps_the_function(data: st.DataObject) -> None:
    model = RandomNet(data.draw).build(steps=2 + data.draw(st.integers(0, 8)))
    result = fold_model(model)
    assert_same_function(result)
    again = fold_model(result.after)
    assert _core(again.after) == _core(result.after), "folding a folded model changed it"


@pytest.mark.parametrize("seed", range(370, 410))
def test_folding_parts_a_shared_weight_once_and_for_all(seed: int) -> None:
    result = fold_model(with_shared_weights(seeded_model(seed), seed))
    assert_same_function(result)
    again = fold_model(result.after)
    assert _core(again.after) == _core(result.after), "folding a folded model changed it"


def _core(model: onnx.ModelProto) -> bytes:
    return model.graph.SerializeToString(deterministic=True)
