"""What is said when a check fails: where they part, the folder, the formats, the assertion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from verification_nets import NETS

from benchmarks.breakages import HIDING
from bnfuse.errors import OutputError
from bnfuse.testing import assert_parity
from bnfuse.verifying import Derived, Verdict, check_constants, first_bad_step, verify
from bnfuse.verifying.telling.formats import github_lines, junit_xml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def broken(layer: int, net: str = "cnn") -> onnx.ModelProto:
    """A fold of seed 0 with one bias of one layer off."""
    model = NETS[net](0, "float64")
    linear = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm"}]
    name = linear[layer].input[2]
    tensor = next(item for item in model.graph.initializer if item.name == name)
    value = numpy_helper.to_array(tensor).copy()
    value[1] += 1e-3
    tensor.CopyFrom(numpy_helper.from_array(value, name))
    return model


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_localize_names_the_value_that_the_error_enters_by(layer: int) -> None:
    result = verify(NETS["cnn"](0), broken(layer), providers=["cpu"], localize=True)
    assert result.verdict is Verdict.FAIL
    worst = max(result.localized, key=lambda item: item.introduced)
    normed = [item for item in result.localized if item.name.startswith("normed")]
    assert worst is normed[layer]
    before = result.localized[: result.localized.index(worst)]
    after = result.localized[result.localized.index(worst) + 1 :]
    assert all(item.arriving < 1e-5 for item in before)
    assert all(item.introduced < 1e-6 for item in after)
    assert any(item.arriving > 1e-5 for item in after)


def test_the_first_bad_rewrite_is_found() -> None:
    original = NETS["cnn"](0)
    calls: list[int] = []

    def step(position: int) -> Callable[[], onnx.ModelProto]:
        def make() -> onnx.ModelProto:
            calls.append(position)
            return broken(0) if position >= 5 else NETS["cnn"](0, "float64")

        return make

    steps = [(f"rule {position}", step(position)) for position in range(9)]

    def judge(model: Any) -> Verdict:
        return verify(original, model, providers=["cpu"]).verdict

    assert first_bad_step(judge, steps) == "rule 5"
    assert len(calls) <= 5
    assert first_bad_step(judge, steps[:5]) is None
    assert first_bad_step(judge, []) is None


def test_a_reproduction_reproduces(tmp_path: Path) -> None:
    folder = tmp_path / "repro"
    first = verify(NETS["cnn"](0), broken(0), providers=["cpu"], repro=folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "candidate.onnx", "command.txt", "inputs.npz", "original.onnx", "result.json",
    ]  # fmt: skip
    with np.load(folder / "inputs.npz") as data:
        assert data["image"].shape[0] == 1
    again = verify(
        folder / "original.onnx", folder / "candidate.onnx", folder / "inputs.npz",
        providers=["cpu"],
    )  # fmt: skip
    assert first.verdict is again.verdict is Verdict.FAIL
    saved = json.loads((folder / "result.json").read_text())
    assert saved["verdict"] == "FAIL"


def test_so_does_one_of_inputs_that_were_sought(tmp_path: Path) -> None:
    folder = tmp_path / "repro"
    original, wrong = HIDING["a shift in a channel that sleeps below -300"].make(0)
    first = verify(original, wrong, providers=["cpu"], proof="none", localize=True, repro=folder)
    assert first.verdict is Verdict.FAIL
    assert max(first.localized, key=lambda item: item.introduced).name == "b"
    with np.load(folder / "inputs.npz") as data:
        again = verify(original, wrong, dict(data), providers=["cpu"], proof="none")
    assert again.verdict is Verdict.FAIL


def test_a_pass_writes_no_reproduction(tmp_path: Path) -> None:
    folder = tmp_path / "repro"
    model = NETS["mlp"](0)
    verify(model, model, providers=["cpu"], repro=folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError):
        verify(NETS["cnn"](0), broken(0), providers=["cpu"], repro=file / "inside")


def test_the_worst_element_and_the_tolerance_are_told() -> None:
    result = verify(NETS["cnn"](0), broken(0), providers=["cpu"])
    output = result.rows[0].outputs[0]
    assert output.worst is not None
    assert len(output.worst.index) == 2
    assert abs(output.worst.candidate - output.worst.truth) > 10 * abs(
        output.worst.original - output.worst.truth
    )
    assert output.tolerance > 2.0
    assert output.ratio > 2.0


def test_junit_has_a_case_for_each_check() -> None:
    result = verify(NETS["heads"](0), broken_heads(), providers=["cpu", "cuda"])
    suite = ElementTree.fromstring(junit_xml(result, "a & b.onnx"))
    # Three outputs and the scores behind the mask, those without optimisation only; two missing.
    assert int(suite.get("tests", "0")) == 9
    assert int(suite.get("failures", "0")) == len(suite.findall(".//failure")) > 0
    assert len(suite.findall(".//error")) == 2


def broken_heads() -> onnx.ModelProto:
    model = NETS["heads"](0, "float64")
    tensor = next(item for item in model.graph.initializer if "_b_" in item.name)
    value = numpy_helper.to_array(tensor) + 0.01
    tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    return model


def test_annotations_are_escaped() -> None:
    result = verify(NETS["cnn"](0), broken(0), providers=["cpu"])
    first, *rest = github_lines(result, "dir,a:b%.onnx")
    assert first.startswith("::error file=dir%2Ca%3Ab%25.onnx,title=bnfuse verify%3A FAIL::")
    assert all(line.startswith("::warning ") for line in rest)
    assert "\n" not in first


def test_the_assertion_says_what_to_do() -> None:
    original = NETS["cnn"](0)
    assert_parity(original, NETS["cnn"](0, "float64"), providers=["cpu"])
    with pytest.raises(AssertionError) as caught:
        assert_parity(original, broken(0), providers=["cpu"])
    message = str(caught.value)
    for part in ("FAIL", "worst element", "would have passed at factor", "seed 0", "--localize"):
        assert part in message


def test_the_assertion_does_not_take_inconclusive_for_a_pass() -> None:
    model = NETS["mlp"](0)
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_parity(model, model, providers=["openvino"])


class TestConstants:
    @staticmethod
    def model(values: list[float], dtype: Any = np.float32) -> onnx.ModelProto:
        tensor = numpy_helper.from_array(np.array(values, dtype), "b")
        node = onnx.helper.make_node("Add", ["x", "b"], ["y"])
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        ports = [onnx.helper.make_tensor_value_info(n, kind, [2]) for n in "xy"]
        graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:], [tensor])
        return onnx.helper.make_model(graph)

    def test_one_rounding_passes_and_two_fail(self) -> None:
        exact = np.array([0.1, -1 / 3])
        assert check_constants(self.model([0.1, -1 / 3]), [Derived("b", exact)])[0].error <= 1
        off = np.float32(-1 / 3) * np.float32(1 + 2.0**-22)
        (found,) = check_constants(self.model([0.1, float(off)]), [Derived("b", exact)])
        assert found.verdict is Verdict.FAIL
        assert found.index == (1,)

    def test_a_bias_that_cancels_is_judged_by_what_it_was_rounded_from(self) -> None:
        # beta - mean·scale = 100.1 - 100, computed in float32 by way of the terms.
        exact, terms = np.array([0.1, 0.1]), np.array([200.1, 200.1])
        stored = float(np.float32(100.1) - np.float32(100))
        model = self.model([stored, 0.1])
        assert check_constants(model, [Derived("b", exact)])[0].verdict is Verdict.FAIL
        found = check_constants(model, [Derived("b", exact, unit=terms)])[0]
        assert found.verdict is Verdict.PASS

    def test_half_precision_and_tiny_values_have_their_own_spacing(self) -> None:
        exact = np.array([1e-7, 0.1])
        model = self.model([1e-7, 0.1], np.float16)
        assert check_constants(model, [Derived("b", exact)])[0].verdict is Verdict.PASS

    @pytest.mark.parametrize(
        ("derived", "words"),
        [
            (Derived("missing", np.zeros(2)), "no constant"),
            (Derived("b", np.zeros(3)), "shape"),
            (Derived("b", np.array([np.nan, 0.0])), "units"),
        ],
    )
    def test_what_does_not_fit_fails(self, derived: Derived, words: str) -> None:
        (found,) = check_constants(self.model([0.0, 0.0]), [derived])
        assert found.verdict is Verdict.FAIL
        assert words in found.reason
