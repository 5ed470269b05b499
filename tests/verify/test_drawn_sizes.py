"""The sizes that inputs are drawn at, and what only some of them show."""

from __future__ import annotations

from verification_texts import caught, judge, parse

from bnfuse.verifying import Verdict


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
