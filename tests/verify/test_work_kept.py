"""What simulated runs have in common is computed once, and no sample is dearer than it seems."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from verification_texts import judge, parse

from bnfuse.verifying import Verdict, verification, verify
from bnfuse.verifying.original.kept import Archive
from bnfuse.verifying.reach.products import product_count
from bnfuse.verifying.runtime.onnx_models import onnx_source, weight_count
from bnfuse.verifying.samples.drawing import Draft, Sample, Sizes
from bnfuse.verifying.samples.sizes import large_of
from bnfuse.verifying.truth import double, torch_double
from bnfuse.verifying.truth.partial_sums import Walks

ROWS = 1031
"""The batch that is larger than any that a model was tried with."""


def values(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_a_walk_is_found_once_for_each_place_of_a_run() -> None:
    found: list[int] = []
    first = Walks()

    def asked(walks: Walks, *sizes: int) -> list[float]:
        def find(size: int) -> Any:
            found.append(len(found))
            return np.full(size, float(found[-1]))

        return [float(walks.of(np.zeros(size), partial(find, size))[0]) for size in sizes]

    assert asked(first, 3, 5) == [0.0, 1.0]
    assert asked(first.again(), 3, 5) == [0.0, 1.0]
    # A run that goes another way is followed itself.
    assert asked(first.again(), 3, 4, 6) == [0.0, 2.0, 3.0]
    assert asked(first.again(), 3, 5, 6) == [0.0, 1.0, 3.0]


def _wrong_by_little(weight: Any) -> Any:
    """Be further from truth than an honest model is, and not beyond what luck may explain."""
    off = weight.copy()
    off[:, 0] *= 1 + 3e-6
    return off


@pytest.mark.parametrize("module", [False, True])
def test_simulated_runs_of_a_sample_share_their_walks(
    module: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = values(64, 16), values(16, 8)
    off = two.copy()
    # Further from truth than an honest model is, and not beyond what luck may explain.
    off[:, 0] *= 1 + 3e-6
    body = "g (float[N, 64] input) => (float[N, 8] y) { h = MatMul(input, w) y = MatMul(h, v) }"
    right, wrong = parse(body, w=one, v=two), parse(body, w=one, v=off)
    walked: list[Any] = []
    told: list[str] = []
    for home in (double, torch_double):

        def walk(*args: Any, plain: Any = home._walk) -> Any:
            walked.append(args)
            return plain(*args)

        monkeypatch.setattr(home, "_walk", walk)
    original: Any = _linear(one, two) if module else right
    result = verify(original, wrong, providers=["cpu"], proof="none", doing=told.append)
    assert result.verdict is Verdict.FAIL
    rounds = [text for text in told if text.startswith("simulating rounding")]
    assert rounds
    assert "signed" not in rounds[0]
    # Of the one sample of a regime, several runs each time, of two products each.
    assert len(walked) == 2 * len(rounds)


def _linear(*weights: Any) -> Any:
    import torch
    from torch import nn

    parts = [nn.Linear(*weight.shape, bias=False) for weight in weights]
    for part, weight in zip(parts, weights, strict=True):
        part.weight.data = torch.from_numpy(weight.T.copy())
    return nn.Sequential(*parts).eval()


def test_only_what_is_judged_anew_is_held() -> None:
    archive = Archive()
    one, two = Sample("signed", {"x": values(3)}), Sample("wide", {"x": values(4)})
    for sample in (one, two):
        archive.of(sample).truth = [values(2)]
        archive.settle(sample)
    archive.leave([two])
    assert archive.of(two).truth is not None
    assert archive.of(one).truth is None


CONV = (
    "g (float[N, T] x) => (float[N, 64, U] y) "
    "{ one = Constant<value_ints=[1]>() z = Unsqueeze(x, one) y = Conv<kernel_shape=[9]>(z, w) }"
)


def test_a_signal_whose_places_all_meet_the_weights_is_no_cheap_row() -> None:
    shallow = parse(CONV, w=values(64, 1, 9))
    deep = parse(
        CONV.replace("y = Conv", "h = Conv").replace("}", "y = Conv<kernel_shape=[9]>(h, v) }"),
        w=values(64, 1, 9),
        v=values(64, 64, 9),
    )
    for model, rows in ((shallow, ROWS), (deep, None)):
        source = onnx_source(model, "signal")
        port = replace(source.signature.inputs[0], dims=("N", 990))
        weights = weight_count(model)
        draft = Draft((port,), weights=weights, products=partial(product_count, source))
        found = large_of(draft, Sizes({"N": 8}), Sizes({"N": 1}))
        assert (found and found.by_symbol["N"]) == rows


def test_a_verification_asks_what_rows_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "g (float[N, 4] x) => (float[N, 4] y) { y = Neg(x) }"
    assert f"signed: x [{ROWS}, 4]" in judge(body, body, proof="none").samples
    monkeypatch.setattr(verification, "product_count", lambda *_: 1 << 40)
    assert f"signed: x [{ROWS}, 4]" not in judge(body, body, proof="none").samples


def test_products_are_counted_by_the_shapes_that_are_inferred() -> None:
    source = onnx_source(parse(CONV, w=values(64, 1, 9)), "conv")
    added = 1 + 2 * 20
    assert product_count(source, {"x": (2, 20)}) == added + 2 * 64 * 12 * 9
    # A shape that is computed from another, and a product of what has it.
    model = parse(
        "g (float[N, T] x) => (float[N, T, 3] y) { s = Shape(x) t = Constant<value_ints=[70]>() "
        "u = Concat<axis=0>(s, t) e = ConstantOfShape(u) y = MatMul(e, v) }",
        v=values(70, 3),
    )
    added = 2 + 1 + 3 + 2 * 20 * 70
    assert product_count(onnx_source(model, "product"), {"x": (2, 20)}) == added + 2 * 20 * 3 * 70
    # What nothing is known of counts nothing.
    open_ended = parse(
        "g (float[N, T] x, int64[2] s) => (float[A, B] y) { r = Reshape(x, s) y = MatMul(r, v) }",
        v=values(70, 3),
    )
    assert product_count(onnx_source(open_ended, "open"), {"x": (2, 20)}) == 0


def test_room_is_made_beside_a_sample_that_the_original_refused() -> None:
    archive = Archive()
    refused, other = (Sample("signed", {"x": values(size)}) for size in (2, 3))
    archive.of(refused)
    known = archive.of(other)
    archive.settle(other)
    archive.leave([other])
    assert archive.of(other) is known
