"""Wrong models made to slip through, and right ones made to look wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from verification_texts import caught, judge, parse, table

from bnfuse.verifying import Verdict

if TYPE_CHECKING:
    from pathlib import Path


class TestTies:
    """A number next to where it is cut off may fall either way."""

    SCALED = "a = Mul(x, k) b = Mul(a, m)"
    ONCE = "b = Mul(x, n)"

    def pair(self, tail: str, kind: str = "uint8") -> tuple[onnx.ModelProto, onnx.ModelProto]:
        head = f"g (float[N, 3, H, W] x) => ({kind}[N, 3, H, W] y)"
        scalars = {"k": 10.3, "m": 3.7, "n": 38.11, "s": 0.02}
        tensors = {name: np.array(value, np.float32) for name, value in scalars.items()}
        tensors["z"] = np.array(3, np.uint8)
        return (
            parse(f"{head} {{ {self.SCALED} {tail} }}", **tensors),
            parse(f"{head} {{ {self.ONCE} {tail} }}", **tensors),
        )

    @pytest.mark.parametrize(
        "tail",
        [
            "y = Cast<to=2>(b)",
            "c = Round(b) y = Cast<to=2>(c)",
            "c = Floor(b) y = Cast<to=2>(c)",
            "c = Ceil(b) y = Cast<to=2>(c)",
            "d = Mul(b, s) y = QuantizeLinear(d, s, z)",
        ],
    )
    def test_a_right_candidate_may_round_the_other_way(self, tail: str) -> None:
        one, two = self.pair(tail)
        options = {"ranges": {"x": (0.0, 6.0)}}
        result = judge(one, two, **options)
        assert result.verdict is Verdict.PASS, result.reason

    def test_a_flip_is_reported(self) -> None:
        one, two = self.pair("y = Cast<to=2>(b)")
        x = np.random.default_rng(0).uniform(0, 6, 2_000_000).astype(np.float32)
        first = ((x * np.float32(10.3)) * np.float32(3.7)).astype(np.uint8)
        second = (x * np.float32(38.11)).astype(np.uint8)
        kept = [np.flatnonzero(first != second)[:1], np.flatnonzero(first == second)[:383]]
        data = x[np.concatenate(kept)].reshape(2, 3, 8, 8)
        result = judge(one, two, {"x": data})
        assert result.verdict is Verdict.PASS, result.reason
        flips = result.rows[0].outputs[0].flips
        assert flips is not None
        assert flips.count >= 1

    def test_an_integer_off_by_one_everywhere_is_no_tie(self) -> None:
        one, _ = self.pair("y = Cast<to=2>(b)")
        other, _ = self.pair("o = Constant<value_float=0.4>() c = Add(b, o) y = Cast<to=2>(c)")
        assert caught(judge(one, other, ranges={"x": (0.0, 6.0)}))


class TestScopes:
    def test_one_small_element_of_a_vector_counts(self) -> None:
        body = (
            "g (float[4] x) => (float[1000] y) "
            "{ a = Constant<value_ints=[0]>() m = ReduceMax(x, a) y = Mul(m, s) }"
        )
        sizes = np.full(1000, 5, np.float32)
        sizes[7] = 1e-4
        wrong = sizes.copy()
        wrong[7] *= 1.001
        assert judge(parse(body, s=sizes), parse(body, s=sizes)).verdict is Verdict.PASS
        assert caught(judge(parse(body, s=sizes), parse(body, s=wrong)))

    def test_numbers_too_large_to_square_are_not_passed(self) -> None:
        scaled = (
            "g (double[N, 4] x) => (double[N, 4] y) "
            "{{ c = Constant<value = double {{ {} }}>() y = Mul(x, c) }}"
        )
        result = judge(scaled.format("1e200"), scaled.format("1.0001e200"))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "too large" in result.reason

    def test_an_output_that_is_always_empty_proves_nothing(self) -> None:
        empty = (
            "g (float[N, 4] x) => (float[N, M] y, float[N, 4] z) { s = Constant<value_ints=[0]>() "
            "a = Constant<value_ints=[1]>() y = Slice(x, s, s, a) z = Neg(x) }"
        )
        result = judge(empty, empty)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "'y' is empty on all inputs" in result.reason

    def test_an_input_that_is_no_tensor_is_inconclusive(self) -> None:
        listed = "g (seq(float[4]) x) => (float[N] y) { y = ConcatFromSequence<axis=0>(x) }"
        result = judge(listed, listed)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "'x' is no tensor" in result.reason


def test_an_original_that_hides_mistakes_is_said() -> None:
    text = (
        "g (float[N, 4] x) => (float[N, 4] y) "
        "{ c = Constant<value_float=3e3>() a = Add(x, c) y = Sub(a, c) }"
    )
    result = judge(text, text)
    assert result.verdict is Verdict.PASS
    assert any("no mistake smaller than that can be seen" in note for note in result.warnings)


class TestAddedBends:
    ORIGINAL = "g (float[N, 4] x) => (float[N, 4] y) { y = Add(x, x) }"

    def test_a_bound_that_no_input_reaches_is_warned_of(self) -> None:
        bound = (
            "g (float[N, 4] x) => (float[N, 4] y) <float h = {1e4}, float l = {-1e4}> "
            "{ a = Add(x, x) y = Clip(a, l, h) }"
        )
        result = judge(self.ORIGINAL, bound)
        assert any("more Clip than the original" in text for text in result.warnings)

    LARGE = (
        "g (float[N, 4] x) => (float[N, 4] y) <int64 k = {%d}, float z = {0}> "
        "{ n = Shape<start=0, end=1>(x) b = Greater(n, k) a = Add(x, x) y = Where(b, z, a) }"
    )

    def test_so_is_a_branch_for_huge_batches(self) -> None:
        result = judge(self.ORIGINAL, self.LARGE % 100_000)
        assert any("'y' is never true" in text for text in result.warnings)

    @pytest.mark.parametrize("rows", [40, 256, 1000, 1024])
    def test_one_for_large_batches_is_taken(self, rows: int) -> None:
        assert caught(judge(self.ORIGINAL, self.LARGE % rows))

    def test_a_bound_that_the_original_has_is_its_own(self) -> None:
        bent = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"
        assert not any("more Relu" in text for text in judge(bent, bent).warnings)


class TestNarrowEdges:
    BF16 = (
        "g (bfloat16[N, 4] x) => (bfloat16[N, 4] y) "
        "{{ a = Cast<to=1>(x) k = Constant<value_float={}>() b = Mul(a, k) y = Cast<to=16>(b) }}"
    )
    FLOAT8 = BF16.replace("bfloat16", "float8e4m3fn").replace("to=16", "to=17")

    @pytest.mark.parametrize("text", [BF16, FLOAT8])
    def test_narrow_edges_are_judged_through_casts(self, text: str) -> None:
        same, wrong = text.format("1.37"), text.format("2.7")
        result = judge(same, same)
        assert result.verdict is Verdict.PASS, result.reason
        assert result.rows[0].outputs[0].error_original > 1e-4
        assert caught(judge(same, wrong))

    def test_two_per_cent_show_in_bfloat16(self) -> None:
        assert caught(judge(self.BF16.format("1.37"), self.BF16.format("1.40")))

    def test_an_order_of_factors_is_no_error(self) -> None:
        other = (
            "g (bfloat16[N, 4] x) => (bfloat16[N, 4] y) "
            "{ a = Cast<to=1>(x) k = Constant<value_float=1.1>() "
            "l = Constant<value_float=1.2454545>() c = Mul(a, k) b = Mul(c, l) y = Cast<to=16>(b) }"
        )
        assert judge(self.BF16.format("1.37"), other).verdict is Verdict.PASS

    def test_the_edge_is_part_of_the_signature(self) -> None:
        wide = self.BF16.format("1.37").replace("=> (bfloat16", "=> (float")
        wide = wide.replace("y = Cast<to=16>(b)", "y = Identity(b)")
        result = judge(self.BF16.format("1.37"), wide)
        assert caught(result)
        assert "bfloat16" in result.reason

    def test_data_are_rounded_to_the_edge(self) -> None:
        x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
        text = self.BF16.format("1.37")
        assert judge(text, text, {"x": x}).verdict is Verdict.PASS

    def test_an_op_that_the_runtime_lacks_in_bfloat16_is_inconclusive(self) -> None:
        text = "g (bfloat16[N, 4] x) => (bfloat16[N, 4] y) { y = Relu(x) }"
        result = judge(text, text)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "NOT_IMPLEMENTED" in result.reason


def test_weights_that_are_not_there_are_said_of_the_model_that_lacks_them(tmp_path: Path) -> None:
    model = table(50)
    onnx.save_model(
        table(50),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    (tmp_path / "m.data").unlink()
    result = judge(model, tmp_path / "m.onnx")
    assert caught(result)
    assert "the candidate does not open" in result.reason
    assert judge(tmp_path / "m.onnx", model).verdict is Verdict.INCONCLUSIVE


QUANTISED = """g (float[N, 3, 16, 16] x) => (float[N, 10] y)
<float s = {0.02}, uint8 z = {128}, float ws = {0.01}, int8 wz = {0}, float s2 = {0.05},
 uint8 z2 = {0}>
{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) wd = DequantizeLinear(w, ws, wz)
  c = Conv<pads=[1, 1, 1, 1]>(d, wd, b) r = Relu(c) q2 = QuantizeLinear(r, s2, z2)
  d2 = DequantizeLinear(q2, s2, z2) p = GlobalAveragePool(d2) f = Flatten(p) y = MatMul(f, v) }"""


def quantised(change: float = 0.0, factor: float = 1.0) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weight = rng.integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
    bias = (rng.standard_normal(8) * 0.1).astype(np.float32) * np.float32(factor)
    bias[2] += np.float32(change)
    last = rng.standard_normal((8, 10)).astype(np.float32)
    return parse(QUANTISED, w=weight, b=bias, v=last)


def test_a_quantised_net_is_judged_in_its_own_steps() -> None:
    assert judge(quantised(), quantised()).verdict is Verdict.PASS
    assert judge(quantised(), quantised(factor=1 + 1e-7)).verdict is Verdict.PASS
    assert caught(judge(quantised(), quantised(change=0.05)))


BRANCHED = (
    "g (float[N, 4] x, bool c) => (float[N, 4] y) {{ y = If(c) < "
    "then_branch = t () => (float[N, 4] a) "
    "{{ k = Constant<value_float={}>() b = Mul(x, k) a = Erf(b) }}, "
    "else_branch = e () => (float[N, 4] a) {{ a = Neg(x) }} > }}"
)
LOOPED = (
    "g (float[N, 4] x) => (float[N, 4] y) {{ n = Constant<value = int64 {{3}}>() "
    "t = Constant<value = bool {{1}}>() y = Loop(n, t, x) < body = b (int64 i, bool c, "
    "float[N, 4] s) => (bool co, float[N, 4] o) "
    "{{ co = Identity(c) k = Constant<value_float={}>() o = Mul(s, k) }} > }}"
)


@pytest.mark.parametrize("text", [BRANCHED, LOOPED])
def test_subgraphs_have_a_float64_truth(text: str) -> None:
    assert judge(text.format("0.3"), text.format("0.3")).verdict is Verdict.PASS
    assert caught(judge(text.format("0.3"), text.format("0.300003")))


@pytest.mark.parametrize("size", ["1e-42", "2e38"])
def test_numbers_at_either_end_of_the_range_are_judged(size: str) -> None:
    scaled = (
        "g (float[N, 4] x) => (float[N, 4] y) {{ c = Constant<value_float={}>() y = Mul(x, c) }}"
    )
    assert judge(scaled.format(size), scaled.format(size)).verdict is Verdict.PASS
    wrong = scaled.format(repr(float(size) * 1.01))
    assert caught(judge(scaled.format(size), wrong))


def test_one_pixel_at_the_border_counts() -> None:
    body = "g (float[N, 1, 8, 8] x) => (float[N, 1, 8, 8] y) { y = Mul(x, w) }"
    right = np.ones((1, 1, 8, 8), np.float32)
    wrong = right.copy()
    wrong[0, 0, 7, 7] += 1e-5
    assert caught(judge(parse(body, w=right), parse(body, w=wrong)))
