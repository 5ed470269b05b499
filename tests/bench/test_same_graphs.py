"""What the comparison of two commits' folds notices, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.same_graphs import differs


def folded(folder: Path, bias: float = 0.0, op_type: str = "Relu", reason: str = "") -> Path:
    """A fold and its report."""
    folder.mkdir()
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["h"]), helper.make_node(op_type, ["h"], ["y"])],
        "net",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.full(2, bias, np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    (folder / "net.json").write_text(f'{{"reason": "{reason}"}}')
    return folder


def test_folds_that_are_the_same_are_no_difference(tmp_path: Path, capsys) -> None:
    assert not differs("net", folded(tmp_path / "a"), folded(tmp_path / "b"))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("otherwise", "told"),
    [({"bias": 1e-30}, "+b: "), ({"op_type": "Abs"}, "Abs"), ({"reason": "it may not"}, "may not")],
)
def test_a_number_a_node_and_a_reason_are_each_noticed(otherwise, told, tmp_path, capsys) -> None:
    assert differs("net", folded(tmp_path / "a"), folded(tmp_path / "b", **otherwise))
    assert told in capsys.readouterr().out


def test_a_model_that_no_longer_folds_is_noticed(tmp_path: Path, capsys) -> None:
    before, after = folded(tmp_path / "a"), folded(tmp_path / "b")
    (after / "net.onnx").unlink()
    (after / "net.json").write_text('{"error": "FoldError: it is wrong"}')
    assert differs("net", before, after)
    assert "it is wrong" in capsys.readouterr().out
