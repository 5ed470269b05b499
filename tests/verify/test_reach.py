"""What no sample reached: channels that sleep, and bends that only the candidate has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from verification_texts import caught, judge, outside
from written import parse

from bnfuse.verifying import Verdict
from bnfuse.verifying.reach import reached, waking
from bnfuse.verifying.reach.leaning import lean
from bnfuse.verifying.reach.nearest import nearest_bends
from bnfuse.verifying.truth.branches import bounds
from bnfuse.verifying.truth.sources import OnnxTruth

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = range(3)

ASLEEP = 5
BENDS = {
    "Relu": "Relu(b)",
    "LeakyRelu": "LeakyRelu(b)",
    "Clip": "Clip(b, zero, six)",
    "Max": "Max(b, zero)",
    "Where": "Where(w, b, zero)",
}


def sleeper(
    layers: int = 1, bend: str = "Relu", wrong: float = 1.0, level: float = -300.0, seed: int = 0
) -> onnx.ModelProto:
    """An MLP, one hidden channel of which no usual input takes over zero."""
    rng = np.random.default_rng(seed)
    nodes, tensors, x = [], {}, "x"
    for layer in range(layers + 1):
        weight = rng.standard_normal((16, 16)) / 4
        bias = 0.3 * rng.standard_normal(16)
        if layer == layers - 1:
            bias[ASLEEP] = level
        if layer == layers:
            weight[ASLEEP] *= wrong
        tensors |= {f"w{layer}": weight, f"b{layer}": bias}
        nodes.append(f"h{layer} = Gemm({x}, w{layer}, b{layer})")
        if layer < layers:
            text = BENDS[bend] if layer == layers - 1 else "Relu(b)"
            if "(w," in text:
                nodes.append(f"c{layer} = Greater(h{layer}, zero)")
            inner = text.replace("(b", f"(h{layer}").replace("(w, b", f"(c{layer}, h{layer}")
            nodes.append(f"x{layer} = {inner}")
        x = f"x{layer}"
    body = " ".join(nodes).replace(f"h{layers} =", "y =")
    return parse(
        "g (float[N, 16] x) => (float[N, 16] y) <float zero = {0}, float six = {6}> "
        f"{{ {body} }}",
        **tensors,
    )


def image(wrong: float = 1.0, level: float = -40.0, seed: int = 0) -> onnx.ModelProto:
    """Three convolutions with a pool between them; one channel of the second sleeps."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((8, 3, 3, 3)) / 5
    w = rng.standard_normal((8, 8, 3, 3)) / 8
    u = rng.standard_normal((4, 8, 1, 1))
    bias = 0.3 * rng.standard_normal(8)
    bias[ASLEEP] = level
    u[:, ASLEEP] *= wrong
    return parse(
        "g (float[N, 3, H, W] x) => (float[N, 4, A, B] y) { "
        "a = Conv<pads=[1,1,1,1]>(x, v) r = Relu(a) "
        "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) "
        "b = Conv(p, w, bias) s = Relu(b) y = Conv(s, u) }",
        v=v, w=w, u=u, bias=bias,
    )  # fmt: skip


def set_most(monkeypatch: pytest.MonkeyPatch, work: int, dear: int) -> None:
    """Set how many products a run may take to be repeated, and how many all others together."""
    for module in (reached, waking):
        monkeypatch.setattr(module, "MOST_WORK", work)
        monkeypatch.setattr(module, "MOST_DEAR", dear)


class TestChannelsThatSleep:
    @pytest.mark.parametrize("bend", BENDS)
    @pytest.mark.parametrize("layers", [1, 3])
    def test_a_mistake_behind_one_is_caught(self, bend: str, layers: int) -> None:
        assert caught(judge(sleeper(layers, bend), sleeper(layers, bend, wrong=1.01)))

    def test_so_is_one_in_a_map(self) -> None:
        assert caught(judge(image(), image(wrong=1.01)))

    def test_where_usual_sizes_are_too_dear_smaller_ones_are_searched(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_most(monkeypatch, 1_000_000, 0)
        assert caught(judge(image(), image(wrong=1.01)))
        assert judge(image(), halved(image())).verdict is Verdict.PASS
        set_most(monkeypatch, 1_000, 0)
        (note,) = [text for text in judge(image(), image()).warnings if "channel" in text]
        assert f"({ASLEEP})" in note

    @pytest.mark.parametrize("level", [-40.0, -300.0])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_where_all_sizes_are_few_runs_are_granted(
        self, level: float, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = image(level=level, seed=seed)
        set_most(monkeypatch, 1_000, 1 << 34)
        for wrong in (image(1.01, level, seed), image(1.0, 0.99 * level, seed)):
            assert caught(judge(model, wrong, seed=seed))
        assert judge(model, halved(model), seed=seed).verdict is Verdict.PASS
        runs: list[int] = []
        taped = OnnxTruth.taped

        def counted(self: OnnxTruth, *args: Any) -> Any:
            runs.append(1)
            return taped(self, *args)

        monkeypatch.setattr(OnnxTruth, "taped", counted)
        judge(crowded(), crowded())
        assert 1 <= len(runs) <= 8

    @pytest.mark.parametrize("seed", SEEDS)
    def test_honest_roundings_pass(self, seed: int) -> None:
        for model in (sleeper(3, seed=seed), image(seed=seed)):
            assert judge(model, halved(model), seed=seed).verdict is Verdict.PASS

    def test_those_that_nothing_wakes_are_said(self) -> None:
        text = (
            "g (float[N, 4] x) => (float[N, 4] y) { "
            "z = Mul(x, x) a = Sub(k, z) r = Relu(a) y = Add(r, x) }"
        )
        model = parse(text, k=np.array([1.0, -1.0, 1.0, -2.0]))
        (note,) = [text for text in judge(model, model).warnings if "channels" in text]
        assert note.startswith("2 channels of Relu 'r' never positive (1, 3): ")
        assert "--inputs" in note


def clipped(where: int, high: float, wrong: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """Five Clips in a row; one channel of one of them lies at -300."""
    rng = np.random.default_rng(seed)
    nodes, tensors, x = [], {}, "x"
    for layer in range(6):
        weight, bias = rng.standard_normal((32, 32)) / 2, 0.3 * rng.standard_normal(32)
        if layer == where:
            bias[ASLEEP] = -300.0
        if layer == where + 1:
            weight[ASLEEP] *= wrong
        tensors |= {f"w{layer}": weight, f"b{layer}": bias}
        made = "y" if layer == 5 else f"h{layer}"
        nodes.append(f"{made} = Gemm({x}, w{layer}, b{layer})")
        if layer < 5:
            nodes.append(f"x{layer} = Clip(h{layer}, zero, high)")
        x = f"x{layer}"
    return parse(
        "g (float[N, 32] x) => (float[N, 32] y) "
        f"<float zero = {{0}}, float high = {{{high}}}> {{ {' '.join(nodes)} }}",
        **tensors,
    )


class TestChannelsBetweenTwoBounds:
    """Such a channel is flat on both sides, and what is woken beyond both hides as much."""

    @pytest.mark.parametrize(("where", "high"), [(0, 6), (0, 200), (1, 200), (2, 200), (3, 200)])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_mistake_behind_one_is_caught(self, where: int, high: float, seed: int) -> None:
        right, wrong = (clipped(where, high, by, seed) for by in (1.0, 1.01))
        assert caught(judge(right, wrong, seed=seed))

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_honest_rounding_passes(self, seed: int) -> None:
        right = clipped(2, 200, seed=seed)
        assert judge(right, halved(right), seed=seed).verdict is Verdict.PASS

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("y = Clip(x, l, h)", -2.0, 4.0),
            ("y = Clip(x, , h)", -np.inf, 4.0),
            ("y = Clip(x)", -np.inf, np.inf),
            ("y = HardSwish(x)", -3.0, 3.0),
            ("y = HardSigmoid<alpha=0.25>(x)", -2.0, 2.0),
        ],
    )
    def test_the_way_into_the_middle(self, text: str, low: float, high: float) -> None:
        node = parse(f"g (float[4] x, float l, float h) => (float[4] y) {{ {text} }}").graph.node[0]
        x = np.array([-9.0, 0.5, 3.5, 50.0])
        inputs = [x, np.array(-2.0), np.array(4.0)][: len(node.input)]
        inputs = [value if name else None for name, value in zip(node.input, inputs, strict=True)]
        assert bounds(node, inputs) == (low, high)
        found = lean(node, inputs, [x], "inside")
        assert found is not None
        np.testing.assert_array_equal(found.score > 0, (x > low) & (x < high))
        if np.isfinite(low):
            ((_, sign, _),) = found.by
            moved = x + sign * found.goal()
            np.testing.assert_allclose(moved[[0, 3]], (low + high) / 2)


def crowded(wrong: float = 1.0, seed: int = 0, bend: str = "Relu(h)") -> onnx.ModelProto:
    """One channel of ``r`` sleeps, and beside it a thousand of ``f`` that no input wakes."""
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal((2, 16, 16)) / 4
    bias = 0.3 * rng.standard_normal(16)
    bias[ASLEEP] = -60.0
    v[ASLEEP] *= wrong
    e, u = rng.standard_normal((2, 16, 1000)) / 4
    k = -rng.uniform(0.1, 1.0, 1000)
    k[0] = 100.0
    return parse(
        "g (float[N, 16] x) => (float[N, 16] y) <float zero = {0}> { "
        "p = MatMul(x, e) q = Mul(p, p) d = Sub(k, q) f = Relu(d) t = MatMul(f, u) "
        f"h = Gemm(x, w, bias) r = {bend} s = Gemm(r, v) y = Add(s, t) }}",
        w=w, v=v, bias=bias, e=e, u=u.T, k=k,
    )  # fmt: skip


class TestWhereAProofEnds:
    @pytest.fixture(autouse=True)
    def no_proof(self) -> None:
        """Here one is looked for."""

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_channel_that_sleeps_there_is_woken_before_others(self, seed: int) -> None:
        models = crowded(seed=seed), crowded(1.1, seed)
        missed = judge(*models, proof="none", seed=seed)
        assert missed.verdict is Verdict.PASS
        assert any(f"1 channel of Relu 'r' never positive ({ASLEEP})" in w for w in missed.warnings)
        result = judge(*models, seed=seed)
        assert result.proof is not None
        assert result.proof.value == "s"
        assert caught(result)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_honest_candidate_that_is_not_proved_passes(self, seed: int) -> None:
        candidate = halved(crowded(seed=seed, bend="Max(h, zero)"))
        result = judge(crowded(seed=seed), candidate, seed=seed)
        assert result.proof is not None
        assert result.proof.value == "r"
        assert result.verdict is Verdict.PASS

    @pytest.mark.parametrize(
        ("value", "bends"),
        [
            ("h", {"r"}),  # Behind it: a row of h that r holds at zero.
            ("r", {"r", "c"}),  # It is one; the next is behind two affines.
            ("s", {"r", "c"}),
            ("y", {"c", "r"}),  # A skip goes round c.
            ("nowhere", set()),
        ],
    )
    def test_the_bends_beside_a_value(self, value: str, bends: set[str]) -> None:
        model = parse(
            "g (float[N, 4] x) => (float[N, 4] y) <float a = {2}> { "
            "h = Mul(x, a) r = Relu(h) s = Add(r, a) t = Neg(s) c = Elu(t) y = Add(c, r) }"
        )
        assert nearest_bends(model, value) == bends

    def test_of_many_the_nearest(self) -> None:
        chain = " ".join(f"r{n + 1} = Relu(h{n}) h{n + 1} = Add(r{n + 1}, h{n})" for n in range(9))
        model = parse(f"g (float[N, 4] h0) => (float[N, 4] h9) {{ {chain} }}")
        assert nearest_bends(model, "h9") == {"r9", "r8", "r7", "r6"}


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Another form of the same function: each weight in two parts of other roundings."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    for node in model.graph.node:
        own = onnx.NodeProto()
        own.CopyFrom(node)
        if node.op_type in {"Gemm", "Conv"}:
            values = {t.name: t for t in copy.graph.initializer}
            for name, factor in zip(node.input[1:], (3.0, 3.0), strict=False):
                array = numpy_helper.to_array(values[name])
                values[name].CopyFrom(numpy_helper.from_array(array * np.float32(factor), name))
            own.output[0] = f"{node.output[0]}_thrice"
            copy.graph.node.append(own)
            scaled = [own.output[0], "third"]
            copy.graph.node.append(onnx.helper.make_node("Mul", scaled, [node.output[0]]))
        else:
            copy.graph.node.append(own)
    copy.graph.initializer.append(numpy_helper.from_array(np.float32(1 / 3), "third"))
    return copy


BENT = {
    "a far bound": "y = Clip(x, l, h)",
    "a condition on the largest": (
        "m = ReduceMax<keepdims=0>(x) b = Greater(m, half) y = Where(b, z, x)"
    ),
    "an If on the largest": (
        "m = ReduceMax<keepdims=0>(x) b = Greater(m, half) "
        "y = If (b) <then_branch = t () => (float[N, 4] p) { p = Neg(x) }, "
        "else_branch = e () => (float[N, 4] q) { q = Identity(x) }>"
    ),
    "an overflow": "a = Mul(x, huge) y = Mul(a, tiny)",
}


class TestBendsOfTheCandidate:
    ORIGINAL = "g (float[N, 4] x) => (float[N, 4] y) { y = Identity(x) }"
    CONSTANTS = (
        "float l = {-1000}, float h = {1000}, float half = {500}, float z = {0}, "
        "float huge = {1e36}, float tiny = {1e-36}"
    )

    @pytest.mark.parametrize("case", BENT)
    def test_it_is_reached(self, case: str) -> None:
        head = f"g (float[N, 4] x) => (float[N, 4] y) <{self.CONSTANTS}>"
        result = judge(self.ORIGINAL, f"{head} {{ {BENT[case]} }}")
        assert caught(result), result.warnings

    def test_so_it_is_by_constants_in_a_file_of_their_own(self, tmp_path: Path) -> None:
        text = f"g (float[N, 4] x) => (float[N, 4] y) {{ {BENT['an overflow']} }}"
        model = parse(text, huge=np.array(1e36), tiny=np.array(1e-36))
        assert caught(judge(self.ORIGINAL, outside(model, tmp_path / "m.onnx")))


def positions(wrong: int | None = None, rows: int = 200) -> onnx.ModelProto:
    """Words and their places, each from a table."""
    rng = np.random.default_rng(0)
    words, places = rng.standard_normal((50, 8)), rng.standard_normal((rows, 8))
    if wrong is not None:
        places[wrong] += 1e-3
    return parse(
        "g (int64[N, L] ids) => (float[N, L, 8] y) <int64 zero = {0}, int64 one = {1}> { "
        "w = Gather(words, ids) l = Shape<start=1, end=2>(ids) n = Squeeze(l) "
        "r = Range(zero, n, one) p = Gather(places, r) y = Add(w, p) }",
        words=words,
        places=places,
    )


class TestSizesBeyondTheUsual:
    @pytest.mark.parametrize("row", [20, 150, 199])
    def test_every_position_is_read(self, row: int) -> None:
        assert judge(positions(), positions()).verdict is Verdict.PASS
        assert caught(judge(positions(), positions(row)))

    def test_a_table_too_long_to_be_read_is_said(self) -> None:
        notes = judge(positions(rows=5000), positions(rows=5000)).warnings
        assert any("5,000 rows by position" in text for text in notes)

    LONG = (
        "g (float[N, L, 4] x) => (float[N, L, 4] y) <int64 k = {%d}, float z = {0}> "
        "{ n = Shape<start=1, end=2>(x) b = Greater(n, k) y = Where(b, z, x) }"
    )

    def test_a_sequence_longer_than_usual_is_run(self) -> None:
        assert caught(
            judge("g (float[N, L, 4] x) => (float[N, L, 4] y) { y = Identity(x) }", self.LONG % 60)
        )

    BRANCH = (
        "g (float[N, 3, H, W] x) => (float[N, 8, H, W] y) <int64 k = {%d}, float z = {0}> { "
        "n = Shape<start=%d, end=%d>(x) b = Greater(n, k) a = Conv<pads=[1,1,1,1]>(x, w) "
        "y = Where(b, z, a) }"
    )
    PLAIN = "g (float[N, 3, H, W] x) => (float[N, 8, H, W] y) { y = Conv<pads=[1,1,1,1]>(x, w) }"

    @pytest.mark.parametrize(("axis", "size"), [(0, 64), (2, 150), (3, 150)])
    def test_so_are_larger_images_and_more_of_them(self, axis: int, size: int) -> None:
        w = np.random.default_rng(0).standard_normal((8, 3, 3, 3))
        branch = parse(self.BRANCH % (size, axis, axis + 1), w=w)
        assert caught(judge(parse(self.PLAIN, w=w), branch))
        assert judge(parse(self.PLAIN, w=w), parse(self.PLAIN, w=w)).verdict is Verdict.PASS

    def test_a_candidate_cannot_ask_to_be_spared_large_sizes(self) -> None:
        w = np.random.default_rng(0).standard_normal((8, 3, 3, 3))
        branch = parse(self.BRANCH % (5, 0, 1), w=w)
        onnx.helper.set_model_props(branch, {"bnfuse.sizes": '{"N": [null, 3]}'})
        assert caught(judge(parse(self.PLAIN, w=w), branch))
