"""Outputs that are the same on all inputs: sought for, told of, or judged by what decides them."""

from __future__ import annotations

import numpy as np
import pytest
from verification_texts import caught, judge

from bnfuse.verifying import Verdict


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
