"""Wrong models made to slip through, and right ones made to look wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bnfuse.verifying import Verdict, Verification, verify

if TYPE_CHECKING:
    from pathlib import Path

HEADER = '<ir_version: 9, opset_import: ["": 19]>'


def parse(body: str, **tensors: Any) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEADER + body)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in tensors.items()
    )
    return model


def judge(original: Any, candidate: Any, inputs: Any = None, **options: Any) -> Verification:
    one, two = (parse(item) if isinstance(item, str) else item for item in (original, candidate))
    return verify(one, two, inputs, providers=["cpu"], **options)


def caught(result: Verification) -> bool:
    return result.verdict is Verdict.FAIL


class TestSizes:
    def test_a_height_taken_for_a_width_is_caught(self) -> None:
        head = "g (float[N, 1, H, W] x) => (float[N, 1, A, B] y)"
        right = f"{head} {{ s = Shape(x) y = Reshape(x, s) }}"
        wrong = (
            f"{head} {{ n = Shape<start=0, end=3>(x) h = Shape<start=2, end=3>(x) "
            "s = Concat<axis=0>(n, h) y = Reshape(x, s) }"
        )
        assert judge(right, right).verdict is Verdict.PASS
        assert caught(judge(right, wrong))

    def test_a_pool_that_rounds_up_is_caught(self) -> None:
        pool = (
            "g (float[N, 1, H, W] x) => (float[N, 1, A, B] y) "
            "{{ y = MaxPool<kernel_shape=[2, 2], strides=[2, 2], ceil_mode={}>(x) }}"
        )
        assert judge(pool.format(0), pool.format(0)).verdict is Verdict.PASS
        assert caught(judge(pool.format(0), pool.format(1)))

    def test_sizes_that_have_to_be_alike_are_found(self) -> None:
        both = "g (float[N, L] a, float[N, M] b) => (float[N, L] y) { y = Add(a, b) }"
        result = judge(both, both)
        assert result.verdict is Verdict.PASS, result.reason
        assert {"a [32, 12], b [32, 12]", "a [21, 7], b [21, 7]"} <= {
            label.split(": ")[1] for label in result.samples
        }

    def test_a_model_of_one_size_is_run_at_it(self) -> None:
        fixed = (
            "g (float[N, 1, H, W] x) => (float[N, 64, 64] y) "
            "{ s = Constant<value_ints=[-1, 64, 64]>() y = Reshape(x, s) }"
        )
        assert judge(fixed, fixed).verdict is Verdict.PASS

    def test_a_negative_dimension_is_any_size(self) -> None:
        model = parse("g (float[N, 4] x) => (float[N, 4] y) { y = Neg(x) }")
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
        assert judge(model, model).verdict is Verdict.PASS

    def test_a_scalar_is_run_in_every_regime(self) -> None:
        result = judge(
            "g (float x) => (float y) { y = Neg(x) }", "g (float x) => (float y) { y = Neg(x) }"
        )
        assert result.verdict is Verdict.PASS
        assert {label.split(":")[0] for label in result.samples} >= {"signed", "wide", "edge"}


class TestStillOutputs:
    """An output that is the same on all inputs proves nothing."""

    HEAD = "g (float[N, 4] x) => (float[N, 4] y)"

    def shut(self, low: float, scale: float = 1.0) -> str:
        return (
            f"{self.HEAD} <float low = {{{low}}}, float k = {{{scale}}}> "
            "{ a = Mul(x, k) b = Add(a, low) y = Relu(b) }"
        )

    def test_inputs_that_change_it_are_sought(self) -> None:
        one = self.shut(-500.0)
        result = judge(one, one)
        assert result.verdict is Verdict.PASS, result.reason
        assert any(label.startswith("found") for label in result.samples)
        assert caught(judge(one, self.shut(-500.0, 1.001)))

    def test_one_that_nothing_changes_is_inconclusive(self) -> None:
        one = self.shut(-1e30)
        result = judge(one, self.shut(-1e30, 2.0))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "output 'y' is the same on all inputs" in result.reason

    def test_so_is_one_that_given_data_do_not_change(self) -> None:
        data = {"x": np.random.default_rng(0).standard_normal((70, 4)).astype(np.float32)}
        assert judge(self.shut(-50.0), self.shut(-50.0, 2.0), data).verdict is Verdict.INCONCLUSIVE

    def test_one_that_no_input_reaches_is_right_as_it_is(self) -> None:
        anchors = (
            "g (float[N, 4] x) => (float[N, 4] y, float[M, 2] a) "
            "<float[3, 2] t = {1, 2, 3, 4, 5, 6}> { y = Neg(x) n = Shape<start=0, end=1>(x) "
            "o = Div(n, n) q = Constant<value_ints=[1]>() r = Concat<axis=0>(o, q) a = Tile(t, r) }"
        )
        assert judge(anchors, anchors).verdict is Verdict.PASS

    def test_an_integer_beside_floats_that_change_is_told(self) -> None:
        both = (
            "g (float[N, 4] x) => (float[N, 4] y, int64[N] i) <float[4] b = {0, 0, 0, 1e9}> "
            "{ y = Neg(x) s = Add(x, b) i = ArgMax<axis=1, keepdims=0>(s) }"
        )
        result = judge(both, both)
        assert result.verdict is Verdict.PASS
        assert any("'i' is the same on all inputs" in note for note in result.warnings)

    COUNTED = (
        "g (float[N, 4] x) => (float[N, 4] y, int64[N] i) "
        "<float k = {{{0}}}, int64[1] a = {{1}}> {{ y = Neg(x) {1} h = Cast<to=7>(b) "
        "i = ReduceSum<keepdims=0>(h, a) }}"
    )

    @pytest.mark.parametrize(
        "how", ["s = Sigmoid(x) b = Greater(s, k)", "s = Abs(x) q = Sqrt(s) b = Less(q, k)"]
    )
    def test_one_that_no_compared_score_tells_of_is_inconclusive(self, how: str) -> None:
        # A count that is always 0: neither the floats beside it nor a score of its own tell of it.
        both = self.COUNTED.format(-2.0 if "Less" in how else 2.0, how)
        result = judge(both, both)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "output 'i' is the same on all inputs" in result.reason

    def test_and_none_where_inputs_are_found_that_change_it(self) -> None:
        both = self.COUNTED.format(200.0, "b = Greater(x, k)")
        assert judge(both, both).verdict is Verdict.PASS

    def test_one_that_an_output_decides_is_told_of_by_it(self) -> None:
        both = (
            "g (float[N, 4] x) => (float[N, 4] y, int64[N] i) <float[4] b = {0, 0, 0, 1e4}> "
            "{ y = Add(x, b) i = ArgMax<axis=1, keepdims=0>(y) }"
        )
        result = judge(both, both)
        assert result.verdict is Verdict.PASS
        assert any("'i' is the same on all inputs" in note for note in result.warnings)


class TestIntegers:
    @pytest.mark.parametrize("kind", [2, 3, 4, 5, 6])
    def test_integers_that_are_numbers_are_not_small_only(self, kind: int) -> None:
        head = "g (int64[N, 4] x) => (int64[N, 4] y)"
        narrow = f"{head} {{ a = Cast<to={kind}>(x) b = Cast<to=7>(a) y = Add(b, b) }}"
        assert caught(judge(f"{head} {{ y = Add(x, x) }}", narrow))

    def test_negative_integers_are_drawn(self) -> None:
        head = "g (int32[N, 4] x) => (float[N, 4] y)"
        right = f"{head} {{ y = Cast<to=1>(x) }}"
        assert judge(right, right).verdict is Verdict.PASS
        assert caught(judge(right, f"{head} {{ a = Abs(x) y = Cast<to=1>(a) }}"))

    def test_an_integer_that_sizes_something_stays_small(self) -> None:
        sized = "g (int64[1] n, float[1] x) => (float[M] y) { y = Expand(x, n) }"
        result = judge(sized, sized)
        assert result.verdict is Verdict.PASS, result.reason


class TestMasks:
    """Masks that are no booleans: anything but 0 and 1 in them drowns what they hide."""

    MASKED = (
        "g (float[N, L, 4] x, {kind}[N, L] mask) => (float[N, L, 4] y) "
        "<float one = {{1}}, float low = {{{low}}}, int64[1] a = {{1}}> "
        "{{ m = Cast<to=1>(mask) u = Unsqueeze(m, a) i = Sub(one, u) b = {hide} "
        "t = Transpose<perm=[0, 2, 1]>(x) s = MatMul(x, t) c = Add(s, b) "
        "p = Softmax<axis=-1>(c) z = {tail} y = MatMul(z, x) }}"
    )

    def masked(self, kind: str, low: str = "-3.4028234e38", tail: str = "Neg(p)") -> str:
        return self.MASKED.format(kind=kind, low=low, hide="Mul(i, low)", tail=tail)

    @pytest.mark.parametrize("kind", ["int64", "int32", "float"])
    @pytest.mark.parametrize("low", ["-3.4028234e38", "-1e4"])
    def test_a_mask_is_drawn_as_one(self, kind: str, low: str) -> None:
        text = self.masked(kind, low)
        result = judge(text, text)
        assert result.verdict is Verdict.PASS, result.reason
        assert caught(judge(text, self.masked(kind, low, tail="Identity(p)")))

    def test_a_mask_that_is_ignored_is_caught(self) -> None:
        ignored = self.MASKED.format(kind="int64", low="-1e4", hide="Sub(i, i)", tail="Neg(p)")
        assert caught(judge(self.masked("int64", "-1e4"), ignored))

    def test_where_the_original_overflows_zeros_and_ones_are_tried(self) -> None:
        text = (
            "g (float[N, 4] x, int64[N, 4] k) => (float[N, 4] y) <float b = {1.5e38}> "
            "{ f = Cast<to=1>(k) c = Mul(f, b) d = Add(c, c) e = Mul(x, d) y = Div(e, b) }"
        )
        result = judge(text, text, ranges={"x": (-0.5, 0.5)})
        assert result.verdict is Verdict.PASS, result.reason
        assert any("--range k=LO,HI" in note for note in result.warnings)

    def test_what_stays_without_a_finite_value_says_how_to_bound_an_input(self) -> None:
        text = "g (float[N, 4] x) => (float[N, 4] y) { z = Sub(x, x) y = Div(z, z) }"
        result = judge(text, text)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "--range" in result.reason


def table(rows: int, wrong: int | None = None, body: str = "y = Gather(t, ids)") -> onnx.ModelProto:
    values = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    if wrong is not None:
        values[wrong] *= 1.01
    return parse(f"g (int64[N, L] ids) => (float[N, L, 2] y) {{ {body} }}", t=values)


class TestTables:
    @pytest.mark.parametrize("row", [0, 1, 250, 499])
    def test_every_row_is_read(self, row: int) -> None:
        assert caught(judge(table(500), table(500, row)))

    @pytest.mark.parametrize("row", [0, 12_345, 29_999])
    def test_rows_that_differ_are_read_first(self, row: int) -> None:
        assert caught(judge(table(30_000), table(30_000, row)))

    def test_rows_that_differ_from_a_fold_of_all_are_read_first(self) -> None:
        norm = "a = Gather(t, ids) b = Mul(a, s) y = Add(b, s)"
        original, right, wrong = table(5000, body=norm), table(5000), table(5000)
        scale = np.array([1.5, -0.3], np.float32)
        original.graph.initializer.append(numpy_helper.from_array(scale, "s"))
        values = numpy_helper.to_array(right.graph.initializer[0]) * scale + scale
        right.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "t"))
        values[3210, 1] += 1e-4
        wrong.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "t"))
        assert judge(original, right).verdict is Verdict.PASS
        assert caught(judge(original, wrong))

    def test_what_was_not_read_is_said(self) -> None:
        result = judge(table(5000), table(5000))
        assert result.verdict is Verdict.PASS
        (note,) = [text for text in result.warnings if "5,000 rows" in text]
        assert "bit for bit" in note

    def test_an_offset_moves_the_last_row(self) -> None:
        shifted = "k = Constant<value=int64 {1}>() j = Add(ids, k) y = Gather(t, j)"
        assert caught(judge(table(40, body=shifted), table(40, 39, body=shifted)))

    def test_a_table_behind_a_cast_is_a_table(self) -> None:
        behind = "h = Cast<to=1>(t) y = Gather(h, ids)"
        result = judge(table(500, body=behind), table(500, 499, body=behind))
        assert caught(result)


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
