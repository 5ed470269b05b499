"""Each gate by itself, on models written as text."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest

from bnfuse.errors import LoadError, UsageError
from bnfuse.verifying import Verdict, from_json, rejudge, verify
from bnfuse.verifying.verdicts.thresholds import Thresholds

HEADER = '<ir_version: 8, opset_import: ["": 17]>'


def parse(body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER + body)


def judge(original: str, candidate: str, inputs: Any = None, **options: Any) -> Any:
    return verify(parse(original), parse(candidate), inputs, providers=["cpu"], **options)


DOUBLE = "g (float[N, 4] x) => (float[N, 4] y) { y = Add(x, x) }"


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("g (float[N, 4] z) => (float[N, 4] y) { y = Add(z, z) }", "by other names"),
        ("g (float[N, 4] x) => (float[N, 4] z) { z = Add(x, x) }", "by other names"),
        (
            "g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) { y = Add(x, x) z = Neg(x) }",
            "2 outputs",
        ),
        ("g (double[N, 4] x) => (double[N, 4] y) { y = Add(x, x) }", "float64"),
        (
            "g (float[N, 4] x) => (float[N, 4, 1] y) "
            "{ axes = Constant<value_ints=[2]>() z = Add(x, x) y = Unsqueeze(z, axes) }",
            "rank 3",
        ),
        (
            "g (float[N, 4] x) => (float[N, M] y) { z = Add(x, x) y = Concat<axis=1>(z, x) }",
            "shape",
        ),
        ("g (float[1, 4] x) => (float[1, 4] y) { y = Add(x, x) }", "fails on"),
    ],
)
def test_signature_shape_and_dtype_gates(candidate: str, words: str) -> None:
    result = judge(DOUBLE, candidate)
    assert result.verdict is Verdict.FAIL
    assert words in result.reason


def test_order_of_outputs_is_part_of_the_signature() -> None:
    body = "{ y = Add(x, x) z = Neg(x) }"
    result = judge(
        f"g (float[N] x) => (float[N] y, float[N] z) {body}",
        f"g (float[N] x) => (float[N] z, float[N] y) {body}",
    )
    assert result.verdict is Verdict.FAIL
    assert "another order" in result.reason


LOG = "g (float[N, 4] x) => (float[N, 4] y) { y = Log(x) }"


def test_nan_at_the_same_places_is_the_same_function() -> None:
    result = judge(LOG, LOG)
    assert result.verdict is Verdict.PASS


def test_nan_on_one_side_fails() -> None:
    result = judge(LOG, "g (float[N, 4] x) => (float[N, 4] y) { a = Abs(x) y = Log(a) }")
    assert result.verdict is Verdict.FAIL
    assert "nan" in result.reason


def test_the_sign_of_an_infinity_counts() -> None:
    zero = "z = Sub(x, x) one = Constant<value_float=1.0>()"
    result = judge(
        f"g (float[N, 4] x) => (float[N, 4] y) {{ {zero} y = Div(one, z) }}",
        f"g (float[N, 4] x) => (float[N, 4] y) {{ {zero} m = Neg(one) y = Div(m, z) }}",
    )
    assert result.verdict is Verdict.FAIL


def test_nothing_but_nan_is_inconclusive() -> None:
    text = (
        "g (float[N, 4] x) => (float[N, 4] y) "
        "{ a = Abs(x) o = Constant<value_float=-1.0>() b = Sub(o, a) y = Log(b) }"
    )
    result = judge(text, text)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "NaN" in result.reason


def test_a_random_op_is_inconclusive() -> None:
    text = "g (float[N, 4] x) => (float[N, 4] y) { r = RandomNormalLike(x) y = Add(x, r) }"
    result = judge(text, text)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "RandomNormalLike" in result.reason


def test_an_original_that_rounding_destroys_is_inconclusive() -> None:
    # (x + 1e9) - 1e9 keeps no digit of x in float32.
    text = (
        "g (float[N, 4] x) => (float[N, 4] y) "
        "{ c = Constant<value_float=1e9>() a = Add(x, c) y = Sub(a, c) }"
    )
    result = judge(text, text)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "more than 10% from truth" in result.reason


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-20, 1e12])
def test_size_does_not_matter(size: float) -> None:
    def scaled(factor: float) -> str:
        return (
            "g (float[N, 4] x) => (float[N, 4] y) "
            f"{{ c = Constant<value_float={factor!r}>() y = Mul(x, c) }}"
        )

    assert judge(scaled(size), scaled(size)).verdict is Verdict.PASS
    assert judge(scaled(size), scaled(size * (1 + 1e-5))).verdict is Verdict.FAIL


def test_comparison_does_not_broadcast() -> None:
    result = judge(
        DOUBLE,
        "g (float[N, 4] x) => (float[M, 4] y) "
        "{ s = Constant<value_ints=[0]>() e = Constant<value_ints=[1]>() "
        "z = Add(x, x) y = Slice(z, s, e, s) }",
    )
    assert result.verdict is Verdict.FAIL
    assert "shape" in result.reason


class TestTies:
    ORIGINAL = (
        "g (float[N, 64] x, float[64] w) => (int64[N] label) "
        "{ s = Mul(x, w) label = ArgMax<axis=1, keepdims=0>(s) }"
    )

    def test_indices_that_really_differ_fail(self) -> None:
        wrong = self.ORIGINAL.replace("ArgMax", "ArgMin")
        result = judge(self.ORIGINAL, wrong)
        assert result.verdict is Verdict.FAIL
        assert "values differ" in result.reason

    def test_a_flip_at_a_tie_is_reported_and_passes(self) -> None:
        # Scores that tie to within rounding: a·b·c associates differently on each side.
        head = "g (float[N, 2] x, float[N, 2] a, float[N, 2] b) => (int64[N] label)"
        one = head + "{ p = Mul(x, a) s = Mul(p, b) label = ArgMax<axis=1, keepdims=0>(s) }"
        two = head + "{ p = Mul(a, b) s = Mul(x, p) label = ArgMax<axis=1, keepdims=0>(s) }"
        x, a, b = tie()
        result = judge(one, two, {"x": x, "a": a, "b": b})
        assert result.verdict is Verdict.PASS, result.reason
        flips = result.rows[0].outputs[0].flips
        assert flips is not None
        assert flips.count >= 1
        assert flips.margin <= flips.allowed

    def test_a_wide_margin_is_no_tie(self) -> None:
        head = "g (float[N, 2] x) => (int64[N] label)"
        one = head + "{ label = ArgMax<axis=1, keepdims=0>(x) }"
        two = head + "{ n = Neg(x) label = ArgMax<axis=1, keepdims=0>(n) }"
        x = np.zeros((128, 2), np.float32)
        x[0, 0] = 0.5
        result = judge(one, two, {"x": x})
        assert result.verdict is Verdict.FAIL
        assert "scores behind them differ by 0.5" in result.reason


def tie() -> tuple[np.ndarray[Any, Any], ...]:
    """128 rows, one of which is a tie that the order of two products decides."""
    rng = np.random.default_rng(0)
    while True:
        x, a, b = rng.standard_normal((3, 2000, 2)).astype(np.float32)
        # Make the second score the first one's, but for the rounding of its factors.
        x[:, 1], a[:, 1] = a[:, 0], x[:, 0]
        b[:, 1] = b[:, 0]
        x[:, 1] = np.nextafter(x[:, 1], np.float32(2))
        first = ((x * a) * b).argmax(axis=1)
        second = (x * (a * b)).argmax(axis=1)
        flipped = np.flatnonzero(first != second)
        if len(flipped):
            keep = np.concatenate([flipped[:1], np.flatnonzero(first == second)[:127]])
            return x[keep], a[keep], b[keep]


class TestEstimate:
    def test_no_budget_is_said_and_judged_by_the_originals_own_runs(self) -> None:
        result = judge(DOUBLE, DOUBLE, truth_budget=0.0)
        assert result.verdict is Verdict.PASS
        assert result.truth.kind == "estimated"
        assert "budget" in result.truth.detail

    def test_a_gross_error_fails_all_the_same(self) -> None:
        wrong = DOUBLE.replace("Add(x, x)", "Neg(x)")
        assert judge(DOUBLE, wrong, truth_budget=0.0).verdict is Verdict.FAIL

    def test_a_small_doubt_is_inconclusive(self) -> None:
        one = "c = Constant<value_float=2.0>() y = Mul(x, c)"
        two = "c = Constant<value_float=2.000004>() y = Mul(x, c)"
        head = "g (float[N, 4] x) => (float[N, 4] y)"
        result = judge(f"{head} {{ {one} }}", f"{head} {{ {two} }}", truth_budget=0.0)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "estimate" in result.reason

    def test_an_op_that_the_reference_computes_in_float32_is_said(self) -> None:
        text = (
            "g (float[N, 2, 3] t) => (float[N, 4, 4, 2] y) "
            "{ c = Shape<start=0, end=1>(t) r = Constant<value_ints=[1, 4, 4]>() "
            "s = Concat<axis=0>(c, r) y = AffineGrid(t, s) }"
        ).replace("17", "20")
        model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["": 20]>' + text)
        result = verify(model, model, providers=["cpu"])
        assert result.truth.kind == "estimated"
        assert "AffineGrid" in result.truth.detail


class TestSaved:
    def test_a_saved_result_is_judged_again(self) -> None:
        wrong = (
            "g (float[N, 4] x) => (float[N, 4] y) "
            "{ c = Constant<value_float=2.00002>() y = Mul(x, c) }"
        )
        first = judge(
            "g (float[N, 4] x) => (float[N, 4] y) "
            "{ c = Constant<value_float=2.0>() d = Add(x, c) e = Sub(d, c) "
            "y = Add(e, e) }",
            wrong,
        )
        assert first.verdict is Verdict.FAIL
        text = json.dumps(first.to_json(), allow_nan=False)
        saved = from_json(json.loads(text))
        assert saved == first
        assert rejudge(saved) == first
        needed = max(output.tolerance for row in first.rows for output in row.outputs)
        lenient = rejudge(saved, Thresholds(factor=needed * 1.01))
        assert lenient.verdict is Verdict.PASS
        strict = rejudge(saved, Thresholds(factor=needed * 0.99))
        assert strict.verdict is Verdict.FAIL

    def test_a_stricter_judgement_of_saved_channels_proves_nothing(self) -> None:
        saved = from_json(judge(DOUBLE, DOUBLE).to_json())
        again = rejudge(saved, Thresholds(factor=1.5))
        assert again.verdict is Verdict.INCONCLUSIVE
        assert "again" in again.reason
        assert rejudge(saved, Thresholds(factor=3.0)).verdict is Verdict.PASS

    @pytest.mark.parametrize("factor", [1.2, 2.0, 3.0, 8.0])
    def test_a_saved_result_gives_what_a_run_gives(self, factor: float) -> None:
        # Forty channels, each a little further off than the one before.
        size = 40
        right = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
        wrong = right * (1 + np.arange(size) * np.float32(2e-8))
        one, two = (
            onnx.parser.parse_model(
                HEADER + "g (float[N, 40] x) => (float[N, 40] y) { y = MatMul(x, w) }"
            )
            for _ in range(2)
        )
        one.graph.initializer.append(onnx.numpy_helper.from_array(right, "w"))
        two.graph.initializer.append(onnx.numpy_helper.from_array(wrong, "w"))
        limits = Thresholds(factor=factor)
        fresh = verify(one, two, providers=["cpu"], thresholds=limits)
        saved = verify(one, two, providers=["cpu"], thresholds=Thresholds(factor=1.2))
        assert rejudge(saved, limits).verdict is fresh.verdict

    def test_what_no_threshold_decides_stays(self) -> None:
        first = judge(LOG, "g (float[N, 4] x) => (float[N, 4] y) { a = Abs(x) y = Log(a) }")
        saved = from_json(first.to_json())
        assert rejudge(saved, Thresholds(factor=1e9)).verdict is Verdict.FAIL

    def test_the_json_has_the_documented_keys(self) -> None:
        data = judge(DOUBLE, DOUBLE).to_json()
        assert data["verdict"] == "PASS"
        row = data["parity"][0]
        assert {"provider", "optimization", "verdict", "outputs"} <= set(row)
        assert {"name", "error_original", "error_candidate", "ratio"} <= set(row["outputs"][0])
        assert data["thresholds"]["factor"] == 2.0

    def test_other_json_is_refused(self) -> None:
        with pytest.raises(LoadError, match="no saved verification"):
            from_json({"verdict": "MAYBE", "reason": ""})


class TestInputs:
    def test_seed_decides_the_inputs(self) -> None:
        one, two, other = (judge(DOUBLE, DOUBLE, seed=seed) for seed in (1, 1, 2))
        worst = [item.rows[0].outputs[0].measures[0].truth_max for item in (one, two, other)]
        assert worst[0] == worst[1] != worst[2]
        assert one.seed == 1

    def test_two_sizes_and_one_run_at_one(self) -> None:
        sizes = {label.split("[")[1] for label in judge(DOUBLE, DOUBLE).samples}
        assert {"32, 4]", "21, 4]", "1, 4]"} <= sizes

    def test_real_data_are_compared_alone(self, tmp_path: Any) -> None:
        file = tmp_path / "data.npz"
        np.savez(file, x=np.ones((40, 4), np.float32))
        result = judge(DOUBLE, DOUBLE, file)
        assert result.verdict is Verdict.PASS
        assert all(label.startswith("given") for label in result.samples)
        assert result.samples[-1].endswith("[1, 4]")

    def test_data_without_an_input_are_refused(self) -> None:
        pair = "g (float[N] x, float[N] z) => (float[N] y) { y = Add(x, z) }"
        with pytest.raises(UsageError, match="'z'"):
            judge(pair, pair, {"x": np.ones(4, np.float32)})

    def test_ranges_bound_the_values(self) -> None:
        result = judge(DOUBLE, DOUBLE, ranges={"x": (2.0, 3.0)})
        peaks = [m.truth_max for m in result.rows[0].outputs[0].measures if m.axis < 0]
        assert all(4.0 <= peak <= 6.0 for peak in peaks)

    def test_a_range_for_no_input_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no input 'q'"):
            judge(DOUBLE, DOUBLE, ranges={"q": (0.0, 1.0)})

    def test_integers_cover_the_table_that_they_index(self) -> None:
        text = (
            "g (int64[N, L] ids) => (float[N, L, 2] y) "
            "<float[5, 2] t = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}> { y = Gather(t, ids) }"
        )
        result = judge(text, text)
        assert result.verdict is Verdict.PASS, result.reason
        whole = [m for m in result.rows[0].outputs[0].measures if m.axis < 0]
        assert max(m.truth_max for m in whole) == 9.0

    def test_inputs_that_nothing_accepts_are_inconclusive(self) -> None:
        text = (
            "g (float[N, M] x) => (float[A, B] y) "
            "{ s = Constant<value_ints=[7, 11]>() y = Reshape(x, s) }"
        )
        result = judge(text, text)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "none of the inputs" in result.reason + " ".join(result.warnings)

    def test_an_untaken_branch_is_warned_of(self) -> None:
        text = (
            "g (float[N, 4] x) => (float[N, 4] y) "
            "{ c = Constant<value_float=1e6>() l = Neg(c) y = Clip(x, l, c) }"
        )
        result = judge(text, text)
        assert any("never below nor above" in warning for warning in result.warnings)

    def test_both_sides_of_a_relu_are_counted(self) -> None:
        text = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"
        (branch,) = judge(text, text).branches
        assert branch.op == "Relu"
        assert not branch.untaken


def test_missing_file_is_an_error_with_a_remedy(tmp_path: Any) -> None:
    with pytest.raises(LoadError, match="no file"):
        verify(tmp_path / "a.onnx", tmp_path / "b.onnx")
