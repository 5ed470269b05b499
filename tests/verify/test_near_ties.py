"""Rows that are taken by scores: a near tie may fall either way, and what they hold follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.verifying import Verdict, Verification, verify
from bnfuse.verifying.truth.boxes import selected, selection_gaps
from bnfuse.verifying.truth.choices import choices

HEADER = '<ir_version: 9, opset_import: ["": 19]>'

# Rows: 40 boxes; the scores come of 64 products, in one order or in the other.
HEAD = "g (float[N, 40, 64] x, float[N, 40, 4] b) => ({outputs})"
SCORES = "s = MatMul(x, w) "
TURNED = "r = Gather<axis=2>(x, p) s = MatMul(r, q) "

TOP = (
    "z = Constant<value_ints=[-1]>() f = Squeeze(s, z) k = Constant<value_ints=[10]>() "
    "best, at = TopK<axis=1>(f, k) a = Unsqueeze(at, z) m = Constant<value_ints=[1, 1, 4]>() "
    "wide = Tile(a, m) boxes = GatherElements<axis=1>(b, wide) "
)
TOP_OUTPUTS = "float[N, 10] best, float[N, 10, 4] boxes"
BEST = (
    "z = Constant<value_ints=[-1]>() f = Squeeze(s, z) at = ArgMax<axis=1>(f) "
    "a = Unsqueeze(at, z) m = Constant<value_ints=[1, 1, 4]>() wide = Tile(a, m) "
    "boxes = GatherElements<axis=1>(b, wide) "
)
SUPPRESSED = (
    "o = Abs(b) f = Transpose<perm=[0, 2, 1]>(s) k = Constant<value = int64[1] {8}>() "
    "u = Constant<value = float[1] {0.3}>() t = Constant<value = float[1] {-100}>() "
    "rows = NonMaxSuppression(o, f, k, u, t) j = Constant<value_ints=[0, 2]>() "
    "both = Gather<axis=1>(rows, j) boxes = GatherND(b, both) "
)
FLIPPED = (
    "c = Constant<value_float=0.0>() h = Greater(s, c) "
    "l = Mul(b, s) n = Neg(b) boxes = Where(h, l, n) "
)
CASES = {
    "topk": (TOP, TOP_OUTPUTS),
    "argmax": (BEST, "float[N, 1, 4] boxes, int64[N, 1] at"),
    "nms": (SUPPRESSED, "float[R, 4] boxes, int64[R, 3] rows"),
    "threshold": (FLIPPED, "float[N, 40, 4] boxes"),
}


def model(case: str, scores: str = SCORES, **tensors: Any) -> onnx.ModelProto:
    tail, outputs = CASES[case]
    parsed = onnx.parser.parse_model(
        HEADER + HEAD.format(outputs=outputs) + " { " + scores + tail + " }"
    )
    weight = np.random.default_rng(3).standard_normal((64, 1)).astype(np.float32)
    turn = np.arange(63, -1, -1)
    known = {"w": weight, "p": turn, "q": weight[::-1].copy()} | tensors
    parsed.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in known.items()
    )
    return parsed


def tied(case: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return rows of which many have the same scores but for the order of the terms."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 40, 64)).astype(np.float32)
    b = rng.standard_normal((6, 40, 4)).astype(np.float32)
    # The same terms in another order: the exact scores are alike, the rounded ones are not.
    weight = numpy_helper.to_array(
        next(item for item in model(case).graph.initializer if item.name == "w")
    )[:, 0].astype(np.float64)
    for row in range(0, 40, 2):
        moved = x[:, row].astype(np.float64)
        moved[:, 0] += 1e-7 * weight[1]
        moved[:, 1] -= 1e-7 * weight[0]
        x[:, row + 1] = moved
        if case == "threshold":
            x[:, row, 0] -= ((x[:, row].astype(np.float64) @ weight) / weight[0]).astype(np.float32)
    return {"x": x, "b": b}


def judge(one: onnx.ModelProto, two: onnx.ModelProto, case: str, **options: Any) -> Verification:
    return verify(one, two, tied(case), providers=["cpu"], **options)


@pytest.mark.parametrize("case", CASES)
def test_a_tie_that_falls_the_other_way_is_no_fault(case: str) -> None:
    result = judge(model(case), model(case, TURNED), case)
    assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.parametrize("case", CASES)
def test_and_was_really_met(case: str) -> None:
    # Unless the rows differ somewhere, the test above tests nothing.
    result = judge(model(case), model(case, TURNED), case)
    flips = [output.flips for row in result.rows for output in row.outputs]
    assert any(flip is not None and flip.count for flip in flips)


def shifted(by: float) -> np.ndarray[Any, Any]:
    weight = np.random.default_rng(3).standard_normal((64, 1)).astype(np.float32)
    weight[5] += by
    return weight


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by", [1e-2, 1e-4])
def test_scores_that_are_off_are_caught(case: str, by: float) -> None:
    assert judge(model(case), model(case, w=shifted(by)), case).verdict is Verdict.FAIL


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with other names for all that it computes inside."""
    known = {item.name for part in (model.graph.input, model.graph.output) for item in part}
    known |= {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name if name in known or not name else f"{name}_2" for name in names]
    return model


@pytest.mark.parametrize("case", CASES)
def test_scores_are_compared_by_whatever_name_they_go(case: str) -> None:
    x = tied(case)
    # No near ties: the decisions are the same, and only the scores tell.
    x["x"] = np.random.default_rng(8).standard_normal(x["x"].shape).astype(np.float32)
    wrong = model(case, w=shifted(3e-6))
    assert verify(model(case), model(case), x, providers=["cpu"]).verdict is Verdict.PASS
    assert verify(model(case), renamed(wrong), x, providers=["cpu"]).verdict is Verdict.FAIL


@pytest.mark.parametrize("case", CASES)
def test_a_tie_that_falls_the_other_way_by_other_names_is_no_fault(case: str) -> None:
    result = judge(model(case), renamed(model(case, TURNED)), case)
    assert result.verdict is Verdict.PASS, result.reason


def test_scores_that_only_keep_the_order_are_not_compared() -> None:
    # The best of probabilities is the best of what they are made of.
    probable = SCORES.replace("s =", "u =") + "s = Softmax<axis=1>(u) "
    result = judge(model("argmax", probable), renamed(model("argmax")), "argmax")
    assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.parametrize("square", [False, True])
def test_scores_that_are_laid_out_otherwise_are_not_compared(square: bool) -> None:
    text = (
        "g (float[N, {}, 6] x) => (int64[N, 6] y) {{ n = Neg(x) {} "
        "a = ArgMax<axis={}, keepdims=0>(t) y = Identity(a) }}"
    )
    rows = 6 if square else 5
    one = onnx.parser.parse_model(HEADER + text.format(rows, "t = Identity(n)", 1))
    two = onnx.parser.parse_model(HEADER + text.format(rows, "t = Transpose<perm=[0, 2, 1]>(n)", 2))
    assert verify(one, two, providers=["cpu"]).verdict is Verdict.PASS


@pytest.mark.parametrize("case", ["topk", "argmax", "nms"])
def test_rows_of_another_table_are_caught(case: str) -> None:
    wrong = model(case)
    gather = next(n for n in wrong.graph.node if "boxes" in n.output)
    wrong.graph.node.insert(0, onnx.helper.make_node("Mul", ["b", "g"], ["scaled"]))
    wrong.graph.initializer.append(numpy_helper.from_array(np.float32(1 + 1e-5).reshape(1), "g"))
    gather.input[0] = "scaled"
    assert judge(model(case), wrong, case).verdict is Verdict.FAIL


def test_the_lowest_in_place_of_the_best_is_caught() -> None:
    wrong = model("topk")
    node = next(n for n in wrong.graph.node if n.op_type == "TopK")
    node.attribute.append(onnx.helper.make_attribute("largest", 0))
    assert judge(model("topk"), wrong, "topk").verdict is Verdict.FAIL


def test_decisions_by_integers_are_none() -> None:
    text = (
        "g (int64[N, 4] i, float[N, 4] x) => (float[N, 4] y) "
        "{ s = Shape(i) k = Constant<value = int64 {3}>() c = Greater(i, k) f = Cast<to=7>(i) "
        "d = Less(x, x) e = Cast<to=1>(i) n = Neg(e) h = Floor(n) w = Where(c, x, h) "
        "y = Where(d, w, x) }"
    )
    graph = onnx.parser.parse_model(HEADER + text)
    assert [item.name for item in choices(graph, graph)] == ["d", "h"]


class TestSelections:
    """A selection of boxes is right if some scores and boxes within the errors give it."""

    def boxes(self, seed: int) -> list[np.ndarray[Any, Any]]:
        rng = np.random.default_rng(seed)
        boxes = rng.uniform(0, 3, (2, 60, 4))
        scores = rng.random((2, 3, 60))
        return [boxes, scores, np.array([9]), np.array([0.2]), np.array([0.1])]

    def chosen(self, exact: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        boxes, scores, most, overlap, least = exact
        return selected(boxes, scores, int(most[0]), float(overlap[0]), float(least[0]))

    @pytest.mark.parametrize("seed", range(5))
    def test_what_moved_scores_select_lies_within_their_errors(self, seed: int) -> None:
        exact = self.boxes(seed)
        rng = np.random.default_rng(seed + 50)
        noise = [0.01 * rng.standard_normal(value.shape) for value in exact[:2]]
        rough = [value + error for value, error in zip(exact[:2], noise, strict=True)]
        honest = self.chosen([*rough, *exact[2:]])
        assert not np.array_equal(honest, self.chosen(exact))
        gaps = selection_gaps(exact, rough, honest, False)
        assert gaps is not None
        assert gaps.size
        assert gaps.max() <= 2.0

    def test_the_exact_selection_has_no_gaps(self) -> None:
        exact = self.boxes(0)
        gaps = selection_gaps(exact, exact[:2], self.chosen(exact), False)
        assert gaps is not None
        assert not gaps.size

    @pytest.mark.parametrize("wrong", ["missing", "worst", "order", "none", "twice"])
    def test_a_wrong_selection_lies_far_beyond(self, wrong: str) -> None:
        exact = self.boxes(1)
        rough = [value * (1 + 1e-7) for value in exact[:2]]
        chosen = self.chosen(exact)
        if wrong == "missing":
            chosen = chosen[1:]
        elif wrong == "worst":
            chosen[0, 2] = int(exact[1][0, 0].argmin())
        elif wrong == "order":
            chosen[[0, 1]] = chosen[[1, 0]]
        elif wrong == "none":
            chosen = chosen[:0]
        else:
            chosen[1] = chosen[0]
        gaps = selection_gaps(exact, rough, chosen, False)
        assert gaps is None or gaps.max() > 100
