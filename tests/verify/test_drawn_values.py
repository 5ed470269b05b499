"""The values that inputs are drawn from: integers, masks, and the rows of tables."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper
from verification_texts import caught, judge, table

from bnfuse.verifying import Verdict


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
