"""Breakages of nets that the verifier was not built on: of every constant, and of those that hide.

The nets are those of :mod:`benchmarks.styles`, exported and folded as a user would; what hides has
small graphs of its own. Every breakage comes with the model that is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HIDING", "STYLED", "Hiding", "constant_breakages", "styled"]

Array = np.ndarray[Any, Any]

STYLED = (
    "ResNet", "Res2Net", "SKNet", "RegNet-Y", "DenseNet", "Inception", "HRNet", "MobileNetV2",
    "MobileNetV3", "EfficientNet", "ShuffleNetV2", "MobileOne", "ConvMixer", "LeViT", "DeepLabV3",
    "U-Net", "YOLO", "PointNet", "DCGAN", "TCN",
)  # fmt: skip
"""The nets whose constants are broken, by their names in :mod:`benchmarks.styles`."""

_CONSTANTS = 8


def styled(name: str, seed: int) -> tuple[Any, onnx.ModelProto, onnx.ModelProto]:
    """Return a net as a module, its unfolded export, and its fold."""
    import onnx_ir
    import torch

    import bnfuse
    from benchmarks.configured import CONFIGURED
    from benchmarks.real_nets import enlivened
    from benchmarks.styles import STYLES

    if name in CONFIGURED:
        module, inputs = CONFIGURED[name](seed)
    else:
        torch.manual_seed(seed)
        module, inputs = enlivened(STYLES[name]()), None
    export = onnx_ir.to_proto(bnfuse.export(module, inputs).model)
    return module, export, onnx_ir.to_proto(bnfuse.fold(export, verified=False).model)


def _zeroed(value: Array, rng: np.random.Generator) -> None:
    flat = value.reshape(-1)
    picked = rng.choice(flat.size, min(8, flat.size), replace=False)
    flat[picked[np.argmax(np.abs(flat[picked]))]] = 0


def _scaled(value: Array, rng: np.random.Generator) -> None:
    first = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
    first[rng.integers(len(first))] *= 1.01


def _swapped(value: Array, rng: np.random.Generator) -> None:
    if value.ndim and len(value) > 1:
        one, two = rng.choice(len(value), 2, replace=False)
        value[[one, two]] = value[[two, one]]


def _shortened(value: Array, rng: np.random.Generator) -> None:
    import ml_dtypes

    del rng
    value[...] = value.astype(ml_dtypes.bfloat16).astype(value.dtype)


CHANGES: dict[str, Callable[[Array, np.random.Generator], None]] = {
    "an entry zeroed": _zeroed,
    "a channel off by 1 %": _scaled,
    "two channels swapped": _swapped,
    "rounded to bfloat16": _shortened,
}


def constant_breakages(right: onnx.ModelProto, seed: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield one change of each float constant of a model that more than its shape depends on.

    Of many constants some are drawn; each gets another change.
    """
    rng = np.random.default_rng(seed)
    names = [item.name for item in right.graph.initializer if item.data_type == 1 and item.dims]
    some = rng.permutation(len(names))[:_CONSTANTS]
    for position, place in enumerate(sorted(some)):
        change = [*CHANGES][position % len(CHANGES)]
        wrong = onnx.ModelProto()
        wrong.CopyFrom(right)
        stored = next(item for item in wrong.graph.initializer if item.name == names[place])
        before = numpy_helper.to_array(stored)
        value = before.copy()
        CHANGES[change](value, rng)
        if not np.array_equal(value, before):
            stored.CopyFrom(numpy_helper.from_array(value, names[place]))
            yield f"{change}: {names[place]}", wrong


@dataclass(frozen=True)
class Hiding:
    """A breakage that few inputs show.

    Attributes:
        make: Returns the right model and the wrong one for a seed.
        named: A word of the warning that counts where it is not caught; empty if none does.
    """

    make: Callable[[int], tuple[onnx.ModelProto, onnx.ModelProto]]
    named: str = ""


HEADER = '<ir_version: 9, opset_import: ["": 19]>'
# A trunk of channels, which each breakage goes on from.
TRUNK = "a = MatMul(x, w) b = Add(a, s) t = Relu(b) "
TAIL = "y = MatMul(t, v)"


def parsed(body: str, seed: int, head: str = "", **tensors: Any) -> onnx.ModelProto:
    """Return a graph of ``x`` (N, 16) with constants drawn from a seed."""
    rng = np.random.default_rng(seed)
    head = head or "g (float[N, 16] x) => (float[N, 8] y)"
    found = onnx.parser.parse_model(f"{HEADER} {head} {{ {body} }}")
    known = {
        "w": rng.standard_normal((16, 24)) / 4,
        "s": rng.standard_normal(24) / 2,
        "v": rng.standard_normal((24, 8)) / 5,
    }
    known |= tensors
    used = {name for node in found.graph.node for name in node.input}
    for name, value in known.items():
        if name in used:
            wide = np.asarray(value)
            stored = wide.astype(np.float32) if wide.dtype == np.float64 else wide
            found.graph.initializer.append(numpy_helper.from_array(stored, name))
    return found


def pair(right: str, wrong: str, head: str = "", **tensors: Any) -> Callable[[int], Any]:
    """Return what makes two graphs with the same constants."""
    return lambda seed: (parsed(right, seed, head, **tensors), parsed(wrong, seed, head, **tensors))


def asleep(level: float) -> Callable[[int], Any]:
    """Return what makes a net with a channel that few inputs wake, and one that shifts it else."""

    def make(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        rng = np.random.default_rng([seed, 1])
        shift = rng.standard_normal(24) / 2
        shift[5] = level
        wrong = shift.copy()
        wrong[5] = 1.01 * level
        return parsed(TRUNK + TAIL, seed, s=shift), parsed(TRUNK + TAIL, seed, s=wrong)

    return make


def row(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a sequence's positions, taken from a table, and one with another row in it."""
    rng = np.random.default_rng([seed, 2])
    table = rng.standard_normal((300, 16))
    wrong = table.copy()
    wrong[200 + seed % 90] += 0.5
    head = "g (float[N, L, 16] x) => (float[N, L, 16] y)"
    body = (
        "d = Shape<start=1, end=2>(x) e = Squeeze(d) z = Constant<value = int64 {0}>() "
        "o = Constant<value = int64 {1}>() p = Range(z, e, o) q = Gather(t, p) y = Add(x, q)"
    )
    return parsed(body, seed, head, t=table), parsed(body, seed, head, t=wrong)


def branching(condition: str) -> Callable[[int], Any]:
    """Return what makes a net and one that doubles its output where a condition holds."""
    wrong = (
        f"{TRUNK} o = MatMul(t, v) {condition} y = If(c) < "
        "then_branch = one () => (float[N, 8] p) { p = Add(o, o) }, "
        "else_branch = two () => (float[N, 8] q) { q = Identity(o) }>"
    )
    return pair(TRUNK + TAIL, wrong)


def scored(tail: str, head: str, by: float = 3e-5) -> Callable[[int], Any]:
    """Return what makes a net that decides by scores, and one whose scores have other names."""

    def make(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        rng = np.random.default_rng([seed, 3])
        right = rng.standard_normal((24, 8)) / 5
        wrong = right.copy()
        wrong[3, 2] += by
        one = parsed(f"{TRUNK} n = MatMul(t, v) " + tail.format("n"), seed, head, v=right)
        two = parsed(f"{TRUNK} m = MatMul(t, v) " + tail.format("m"), seed, head, v=wrong)
        return one, two

    return make


def half(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a net in half precision, and its fold without one channel's shift."""
    from verification_nets import NETS

    wrong = NETS["half"](seed, "float64")
    node = next(n for n in wrong.graph.node if n.op_type == "Conv" and len(n.input) > 2)
    stored = next(item for item in wrong.graph.initializer if item.name == node.input[2])
    shift = numpy_helper.to_array(stored).copy()
    shift[np.abs(shift).argsort()[-3]] = 0
    stored.CopyFrom(numpy_helper.from_array(shift, stored.name))
    return NETS["half"](seed), wrong


def wide(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a net of images, and one that is wrong beyond 64 columns."""
    rng = np.random.default_rng([seed, 4])
    head = "g (float[N, 3, H, W] x) => (float[N, 4, P, Q] y)"
    body = "a = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, k) "
    cut = (
        "z = Constant<value_ints=[0]>() e = Constant<value_ints=[64]>() "
        "f = Constant<value_ints=[1000000]>() i = Constant<value_ints=[3]>() "
        "l = Slice(a, z, e, i) r = Slice(a, e, f, i) n = Neg(r) y = Concat<axis=3>(l, n)"
    )
    kernel = rng.standard_normal((4, 3, 3, 3)) / 5
    return (
        parsed(body + "y = Identity(a)", seed, head, k=kernel),
        parsed(body + cut, seed, head, k=kernel),
    )


def between(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return five Clips with a channel at -300 behind two of them, and one that shifts it else."""
    rng = np.random.default_rng([seed, 5])
    names = "abcde"
    tensors = {f"w{n}": rng.standard_normal((32, 32)) / 2 for n in (*names, "y")}
    tensors |= {f"s{n}": 0.3 * rng.standard_normal(32) for n in names}
    tensors |= {"w_": rng.standard_normal((16, 32)), "l": np.zeros(()), "h": np.full((), 200.0)}
    tensors["sc"][5] = -300.0
    body = "p = MatMul(x, w_) "
    for before, n in zip("p" + names, names, strict=False):
        body += f"m{n} = MatMul({before}, w{n}) t{n} = Add(m{n}, s{n}) {n} = Clip(t{n}, l, h) "
    body += "y = MatMul(e, wy)"
    head = "g (float[N, 16] x) => (float[N, 32] y)"
    wrong = tensors["sc"].copy()
    wrong[5] *= 0.99
    return parsed(body, seed, head, **tensors), parsed(body, seed, head, **{**tensors, "sc": wrong})


def large(seed: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a net of large images with a channel at -300, and one that shifts it."""
    # Just too much work for an ordinary search.
    width = 80
    rng = np.random.default_rng([seed, 6])
    kernels = {"k0": (64, 3, 7, 7), "k1": (width, 64, 3, 3), "k2": (8, width, 3, 3)}
    tensors = {
        name: rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) / 2)
        for name, shape in kernels.items()
    }
    shift = 0.3 * rng.standard_normal(width)
    shift[5] = -300.0
    wrong = shift.copy()
    wrong[5] *= 0.99
    head = "g (float[N, 3, 224, 224] x) => (float[N, 8, P, Q] y)"
    body = (
        "a = Conv<strides=[2, 2], pads=[3, 3, 3, 3]>(x, k0) b = Relu(a) "
        "c = Conv<pads=[1, 1, 1, 1]>(b, k1, t) d = Relu(c) y = Conv<strides=[4, 4]>(d, k2)"
    )
    one, two = (parsed(body, seed, head, t=by, **tensors) for by in (shift, wrong))
    return one, two


# Scores of eight classes for the rows of a batch, which are the boxes.
_BOXES = (
    "i = Constant<value_ints=[0]>() p = Transpose<perm=[1, 0]>({0}) q = Unsqueeze(p, i) "
    "f = Constant<value_ints=[4]>() o = Constant<value_ints=[1]>() e = Slice(x, i, f, o) "
    "h = Abs(e) r = Unsqueeze(h, i) l = Constant<value_ints=[4]>() "
    "k = Constant<value_floats=[0.4]>() y = NonMaxSuppression(r, q, l, k, k)"
)
HIDING: dict[str, Hiding] = {
    "a shift in a channel that sleeps below -7": Hiding(asleep(-7.0)),
    "a shift in a channel that sleeps below -300": Hiding(asleep(-300.0), "Relu"),
    "a shift between two bounds, below -300": Hiding(between, "Clip"),
    "a shift in a channel that sleeps in large images": Hiding(large, "Relu"),
    "a row of a position table": Hiding(row, "position"),
    "a branch at a batch of 65 and more": Hiding(
        branching("d = Shape<start=0, end=1>(x) e = Squeeze(d) "
                  "k = Constant<value = int64 {64}>() c = Greater(e, k)"), "batch"),
    "a clip at 1000": Hiding(
        pair(TRUNK + TAIL, TRUNK + "t2 = Clip(t, , h) y = MatMul(t2, v)", h=np.float32(1000.0))),
    "times 1e36 and 1e-36": Hiding(
        pair(TRUNK + TAIL, TRUNK + "p = Mul(t, h) q = Mul(p, l) y = MatMul(q, v)",
             h=np.float32(1e36), l=np.float32(1e-36))),
    "a branch on a maximum": Hiding(
        branching("r = ReduceMax<keepdims=0>(x) k = Constant<value = float {60.0}>() "
                  "c = Greater(r, k)"), "branch"),
    "scores of an ArgMax, by another name": Hiding(
        scored("y = ArgMax<axis=1>({0})", "g (float[N, 16] x) => (int64[N, 1] y)")),
    "scores of a TopK, by another name": Hiding(
        scored("k = Constant<value_ints=[3]>() e, y = TopK<axis=1>({0}, k)",
               "g (float[N, 16] x) => (int64[N, 3] y)")),
    "scores of a threshold, by another name": Hiding(
        scored("k = Constant<value_float=0.4>() y = Greater({0}, k)",
               "g (float[N, 16] x) => (bool[N, 8] y)")),
    "scores of a NonMaxSuppression, by another name": Hiding(
        scored(_BOXES, "g (float[N, 16] x) => (int64[M, 3] y)")),
    "a shift zeroed in half precision": Hiding(half),
    "a scale of 1 + 3e-7": Hiding(
        pair(TRUNK + TAIL, TRUNK + "t2 = Mul(t, h) y = MatMul(t2, v)", h=np.float32(1 + 3e-7))),
    "columns beyond the 64th": Hiding(wide),
}  # fmt: skip
"""What hides, by name."""
