"""Decisions that turn at another number: only inputs between the two numbers show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from written import parse

from bnfuse.verifying import Verdict, Verification, verify
from bnfuse.verifying import verification as check
from bnfuse.verifying.proof import proof_of
from bnfuse.verifying.reach import reached

OFF = 1e-3

# What scores s of a net become; each tail has one number that may be off, and outputs.
TAILS = {
    "greater": ("c = Greater(s, t) n = Neg(s) y = Where(c, s, n)", "float[{N}, 4] y"),
    "less": ("c = Less(t, s) d = Not(c) y = Cast<to=7>(d)", "int64[{N}, 4] y"),
    # Sums that one model passes through ops that the other does without are not compared.
    "floor": ("q = Add(s, t) r = Floor(q) y = Mul(r, r)", "float[{N}, 4] y"),
    "round": ("q = Add(s, t) r = Round(q) y = Mul(r, r)", "float[{N}, 4] y"),
    "cast": ("q = Add(s, t) r = Cast<to=7>(q) y = Mul(r, r)", "int64[{N}, 4] y"),
    "maximum": (
        "m = ReduceMax<keepdims=0>(s) c = Greater(m, t) y = If(c) "
        "<then_branch = a () => (float[{N}, 4] u) {{ u = Neg(s) }}, "
        "else_branch = b () => (float[{N}, 4] v) {{ v = Exp(s) }}>",
        "float[{N}, 4] y",
    ),
    # One score by itself is moved; the candidate decides by what the softmax is of.
    "argmax": ("o = Add(s, moved) p = Softmax(o) y = ArgMax<axis=1>(p)", "int64[{N}, 1] y"),
    "topk": (
        "o = Add(s, moved) p = Softmax(o) b, y = TopK<axis=1>(p, two)",
        "int64[{N}, 2] y",
    ),
}


def net(
    case: str, seed: int, off: float = 0.0, *, folded: bool = False, batch: str = ""
) -> onnx.ModelProto:
    """Two layers with norms, and a decision by their scores."""
    rng = np.random.default_rng(seed)
    batch = batch or ("8" if case in {"argmax", "topk"} else "1")
    tail, outputs = (text.format(N=batch) for text in TAILS[case])
    if folded:
        tail = tail.replace("p = Softmax(o)", "p = Identity(o)")
        tail = tail.replace("q = Add(s, t)", "o = Add(s, t) p = Exp(o) q = Log(p)")
    tensors: dict[str, Any] = {"t": 0.6 + off, "moved": [0, off, 0, 0]}
    nodes, x = [], "x"
    for layer in range(2):
        width = 4 if layer else 16
        weight = rng.standard_normal((16, width)) / 4
        shift, mean = 0.1 * rng.standard_normal((2, width))
        scale = rng.uniform(0.8, 1.2, width)
        variance = rng.uniform(0.5, 2.0, width)
        if folded:
            factor = scale / np.sqrt(variance + 1e-5)
            tensors |= {f"w{layer}": weight * factor, f"b{layer}": shift - mean * factor}
            nodes.append(f"n{layer} = Gemm({x}, w{layer}, b{layer})")
        else:
            tensors |= {f"w{layer}": weight, f"g{layer}": scale, f"b{layer}": shift}
            tensors |= {f"m{layer}": mean, f"v{layer}": variance}
            nodes.append(f"h{layer} = MatMul({x}, w{layer})")
            norm = ", ".join(f"{name}{layer}" for name in "hgbmv")
            nodes.append(f"n{layer} = BatchNormalization({norm})")
        x = "x1" if not layer else "s"
        nodes.append(f"{x} = {'Identity' if layer else 'Relu'}(n{layer})")
    return parse(
        f"g (float[{batch}, 16] x) => ({outputs}) "
        "<int64[2] shape = {-1, 4}, int64[1] two = {2}> "
        f"{{ {' '.join(nodes)} {tail} }}",
        **tensors,
    )


def judge(original: onnx.ModelProto, candidate: onnx.ModelProto, **options: Any) -> Verification:
    return verify(original, candidate, providers=["cpu"], **options)


def is_near(result: Verification) -> bool:
    return any(label.startswith("near") for label in result.samples)


@pytest.mark.parametrize("case", TAILS)
@pytest.mark.parametrize("seed", range(3))
def test_one_that_is_off_by_a_thousandth_is_caught(
    case: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = net(case, seed), net(case, seed, OFF, folded=True)
    assert judge(*models, seed=seed).verdict is Verdict.FAIL
    # Nothing else shows it.
    monkeypatch.setattr(reached, "near", lambda *_: [])
    assert judge(*models, seed=seed).verdict is Verdict.PASS


@pytest.mark.parametrize("case", TAILS)
@pytest.mark.parametrize("seed", range(10))
def test_an_honest_fold_passes(case: str, seed: int) -> None:
    for batch in ("", "N"):
        models = (net(case, seed, folded=own, batch=batch) for own in (False, True))
        result = judge(*models, seed=seed)
        assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.parametrize("case", TAILS)
@pytest.mark.parametrize("batch", ["1", "N"])
def test_both_sides_are_found(case: str, batch: str) -> None:
    model = net(case, 0, batch=batch)
    result = judge(model, model)
    assert result.verdict is Verdict.PASS, result.reason
    assert is_near(result)


def test_nothing_is_sought_where_the_models_are_proved_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = net("greater", 0)
    assert is_near(judge(model, model))
    monkeypatch.setattr(check, "proof_of", proof_of)
    assert not is_near(judge(model, model))


def test_nor_where_nothing_is_decided_by_floats() -> None:
    model = parse("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    assert not is_near(judge(model, model))


def boxes(score: float = 0.3, overlap: float = 0.4) -> onnx.ModelProto:
    return parse(
        "g (float[1, 6, 8] x) => (int64[R, 3] y) { h = MatMul(x, w) o = Abs(h) "
        "p = MatMul(x, v) q = Sigmoid(p) s = Transpose<perm=[0, 2, 1]>(q) "
        "k = Constant<value = int64[1] {6}>() y = NonMaxSuppression(o, s, k, overlap, score) }",
        w=np.random.default_rng(1).standard_normal((8, 4)),
        v=np.random.default_rng(2).standard_normal((8, 1)),
        overlap=[overlap],
        score=[score],
    )


def test_a_selection_by_another_least_score_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    models = boxes(), boxes(0.3 + OFF)
    assert judge(*models).verdict is Verdict.FAIL
    monkeypatch.setattr(reached, "near", lambda *_: [])
    assert judge(*models).verdict is Verdict.PASS


@pytest.mark.parametrize("seed", range(10))
def test_a_selection_is_itself(seed: int) -> None:
    result = judge(boxes(), boxes(), seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


class TestModules:
    def pair(self, off: float = 0.0) -> tuple[Any, onnx.ModelProto]:
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)

        class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.norm = torch.nn.BatchNorm1d(4)

            def forward(self, x: Any) -> Any:
                s = self.norm(x)
                return torch.where(s > 0.6, s, -s)

        candidate = parse(
            "g (float[1, 4] x) => (float[1, 4] y) { s = Mul(x, k) "
            "c = Greater(s, t) n = Neg(s) y = Where(c, s, n) }",
            k=1 / np.sqrt(1 + 1e-5),
            t=0.6 + off,
        )
        return Net().eval(), candidate

    @pytest.mark.parametrize("seed", range(5))
    def test_one_that_is_off_by_a_thousandth_is_caught(self, seed: int) -> None:
        assert judge(*self.pair(OFF), seed=seed).verdict is Verdict.FAIL

    @pytest.mark.parametrize("seed", range(10))
    def test_an_honest_fold_passes(self, seed: int) -> None:
        result = judge(*self.pair(), seed=seed)
        assert result.verdict is Verdict.PASS, result.reason
        assert is_near(result)
