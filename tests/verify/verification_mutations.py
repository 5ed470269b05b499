"""Seeded breakages of a right candidate, one function each: every one must be caught.

A mutation takes the folded model and a generator, and changes the model in place. It raises
``NotHereError`` where the net has nothing of the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from verification_nets import NETS

from bnfuse.verifying.runtime.onnx_models import signature_of
from bnfuse.verifying.samples.drawing import Draft, Draw
from bnfuse.verifying.samples.index_tables import index_limits
from bnfuse.verifying.samples.sizes import candidates
from bnfuse.verifying.truth.double import DoubleEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MUTATIONS", "NotHereError", "breakages"]

Array = np.ndarray[Any, Any]


class NotHereError(Exception):
    """The net has no place for this mutation."""


def nodes(model: onnx.ModelProto, *ops: str) -> list[onnx.NodeProto]:
    found = [node for node in model.graph.node if node.op_type in ops]
    if not found:
        raise NotHereError
    return found


def some(rng: np.random.Generator, items: list[Any]) -> Any:
    if not items:
        raise NotHereError
    return items[rng.integers(len(items))]


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name == name)


def value(model: onnx.ModelProto, name: str) -> Array:
    return numpy_helper.to_array(tensor(model, name)).copy()


def store(model: onnx.ModelProto, name: str, array: Array) -> None:
    tensor(model, name).CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def bypass(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    for other in model.graph.node:
        for position, name in enumerate(other.input):
            if name == node.output[0]:
                other.input[position] = node.input[0]
    model.graph.node.remove(node)


def after(model: onnx.ModelProto, output: str, op: str, *consts: Array, **attributes: Any) -> None:
    """Put an op before a graph output."""
    final = next(node for node in model.graph.node if node.output[0] == output)
    names = []
    for position, constant in enumerate(consts):
        names.append(f"{output}_extra_{position}")
        model.graph.initializer.append(numpy_helper.from_array(constant, names[-1]))
    inner = f"{output}_inner"
    final.output[0] = inner
    model.graph.node.append(helper.make_node(op, [inner, *names], [output], **attributes))


def linear(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.NodeProto:
    return some(rng, nodes(model, "Conv", "ConvTranspose", "Gemm"))


def edit_weight(change: Callable[[Array, np.random.Generator], Array], op: int = 1) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        node = linear(model, rng)
        array = value(model, node.input[op])
        changed = change(array.copy(), rng)
        if np.array_equal(changed, array, equal_nan=True):
            raise NotHereError
        store(model, node.input[op], changed.astype(array.dtype))

    return mutate


def edit_spatial(change: Callable[[Array], Array]) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        found = [
            node
            for node in nodes(model, "Conv", "ConvTranspose")
            if value(model, node.input[1]).shape[-1] > 1
        ]
        name = some(rng, found).input[1]
        store(model, name, change(value(model, name)))

    return mutate


def one_off(size: float) -> Any:
    """Change the largest of a few random entries by a part of the tensor's scale."""

    def change(array: Array, rng: np.random.Generator) -> Array:
        flat = array.reshape(-1)
        picked = rng.choice(flat.size, min(8, flat.size), replace=False)
        index = picked[np.argmax(np.abs(flat[picked]))]
        flat[index] += size * np.abs(array).max()
        return array

    return change


def zero_one(array: Array, rng: np.random.Generator) -> Array:
    # Not one that is nearly zero already.
    picked = rng.choice(len(array), 3, replace=False)
    array[picked[np.argmax(np.abs(array[picked]))]] = 0
    return array


def swap_two(array: Array, rng: np.random.Generator) -> Array:
    # Not two that are nearly alike.
    one, *others = rng.choice(len(array), 4, replace=False)
    two = max(others, key=lambda other: np.abs(array[one] - array[other]).max())
    array[[one, two]] = array[[two, one]]
    return array


def negate_channel(array: Array, rng: np.random.Generator) -> Array:
    array[rng.integers(len(array))] *= -1
    return array


def one_bad(constant: float) -> Any:
    def change(array: Array, rng: np.random.Generator) -> Array:
        array[rng.integers(len(array))] = constant
        return array

    return change


def through(dtype: Any) -> Any:
    def change(array: Array, rng: np.random.Generator) -> Array:
        del rng
        return array.astype(dtype).astype(array.dtype)

    return change


def removed(op: str) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        bypass(model, some(rng, nodes(model, op)))

    return mutate


def replaced(op: str, new: str, inputs: int = 1, **attributes: Any) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        node = some(rng, nodes(model, op))
        node.op_type = new
        del node.input[inputs:]
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())

    return mutate


def clip_at(high: float) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        name = some(rng, nodes(model, "Clip")).input[2]
        store(model, name, np.asarray(high, value(model, name).dtype))

    return mutate


def attribute(op: str, name: str, change: Callable[[Any], Any]) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        found = [
            item
            for node in nodes(model, op)
            for item in node.attribute
            if item.name == name and change(helper.get_attribute_value(item)) is not None
        ]
        item = some(rng, found)
        item.CopyFrom(helper.make_attribute(name, change(helper.get_attribute_value(item))))

    return mutate


def on_output(op: str, *consts: Any, kind: int = 0, **attributes: Any) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        info = some(rng, [item for item in model.graph.output if is_float(item)])
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        arrays = [np.asarray(c, np.int64 if isinstance(c, list) else dtype) for c in consts]
        after(model, info.name, op, *arrays, **attributes)
        if kind:
            info.type.tensor_type.elem_type = kind
        if op in {"Unsqueeze", "Transpose", "Flatten", "Slice"}:
            info.type.tensor_type.ClearField("shape")

    return mutate


def is_float(info: onnx.ValueInfoProto) -> bool:
    return info.type.tensor_type.elem_type in {TensorProto.FLOAT, TensorProto.FLOAT16}


def output_missing(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    if len(model.graph.output) < 2:
        raise NotHereError
    del model.graph.output[int(rng.integers(len(model.graph.output)))]


def output_twice(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    info = model.graph.output[0]
    model.graph.node.append(helper.make_node("Identity", [info.name], ["again"]))
    copy = model.graph.output.add()
    copy.CopyFrom(info)
    copy.name = "again"


def output_order(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    if len(model.graph.output) < 2:
        raise NotHereError
    items = list(
        reversed(
            [onnx.ValueInfoProto.FromString(o.SerializeToString()) for o in model.graph.output]
        )
    )
    del model.graph.output[:]
    model.graph.output.extend(items)


def output_renamed(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    info = model.graph.output[0]
    next(n for n in model.graph.node if n.output[0] == info.name).output[0] = "renamed"
    info.name = "renamed"


def input_renamed(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    old = model.graph.input[0].name
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = "other"
    model.graph.input[0].name = "other"


def batch_frozen(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 1


def batch_averaged(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    # Right at a batch of one, wrong at any other.
    info = some(rng, [item for item in model.graph.output if is_float(item)])
    final = next(node for node in model.graph.node if node.output[0] == info.name)
    final.output[0] = "rows"
    axes = numpy_helper.from_array(np.array([0]), "rows_axis")
    model.graph.initializer.append(axes)
    model.graph.node.append(helper.make_node("ReduceMean", ["rows", "rows_axis"], ["mean"]))
    model.graph.node.append(helper.make_node("Shape", ["rows"], ["rows_shape"]))
    model.graph.node.append(helper.make_node("Expand", ["mean", "rows_shape"], [info.name]))


def edit_table(change: Callable[[Array, np.random.Generator], Array]) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator) -> None:
        name = nodes(model, "Gather")[0].input[0]
        store(model, name, change(value(model, name), rng))

    return mutate


def only_row_0(array: Array, rng: np.random.Generator) -> Array:
    array[1:] = array[1:][rng.permutation(len(array) - 1)]
    return array


def last_row(array: Array, rng: np.random.Generator) -> Array:
    del rng
    array[-1] *= 1.01
    return array


def output_zeroed(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    names = [item.name for item in model.graph.output]
    if "tiny" not in names:
        raise NotHereError
    del rng
    after(model, "tiny", "Mul", np.zeros((), np.float32))


def tiny_shifted(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    if "tiny" not in [item.name for item in model.graph.output]:
        raise NotHereError
    shift = np.zeros(5, np.float32)
    shift[rng.integers(5)] = 1e-11
    after(model, "tiny", "Add", shift)


def argmax_shifted(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    nodes(model, "ArgMax")
    after(model, "label", "Add", np.array(1))


def argmax_last(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    nodes(model, "ArgMax")[0].op_type = "ArgMin"


def mask_negated(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    nodes(model, "Greater")
    after(model, "mask", "Not")


def mask_threshold(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    del rng
    node = nodes(model, "Greater")[0]
    store(model, node.input[1], np.array(0.05, np.float32))


def scratch(**options: Any) -> Any:
    def mutate(model: onnx.ModelProto, rng: np.random.Generator, net: str, seed: int) -> None:
        del rng
        model.CopyFrom(NETS[net](seed, "float64", **options))

    mutate.rebuilds = True  # type: ignore[attr-defined]
    return mutate


def pads_moved(pads: list[int]) -> list[int] | None:
    if not any(pads):
        return None
    half = len(pads) // 2
    return [0] * half + [a + b for a, b in zip(pads[:half], pads[half:], strict=True)]


MUTATIONS: dict[str, Callable[..., None]] = {
    "relu removed": removed("Relu"),
    "clip removed": removed("Clip"),
    "clip at 5.9": clip_at(5.9),
    "clip to relu": replaced("Clip", "Relu"),
    "relu to leaky relu": replaced("Relu", "LeakyRelu", alpha=1e-3),
    "relu to softplus": replaced("Relu", "Softplus"),
    "relu to abs": replaced("Relu", "Abs"),
    "eps dropped": scratch(eps=0.0),
    "eps 1e-3": scratch(eps=1e-3),
    "gamma dropped": scratch(use_scale=False),
    "one weight off by 1e-4": edit_weight(one_off(1e-4)),
    "one bias off by 1e-4": edit_weight(one_off(1e-4), op=2),
    "one weight off by 1e-2": edit_weight(one_off(1e-2)),
    "one bias zeroed": edit_weight(zero_one, op=2),
    "channels swapped": edit_weight(swap_two),
    "biases swapped": edit_weight(swap_two, op=2),
    "channel negated": edit_weight(negate_channel),
    "kernel transposed": edit_spatial(lambda array: array.swapaxes(-1, -2)),
    "kernel flipped": edit_spatial(lambda array: array[..., ::-1]),
    "weights through float16": edit_weight(through(np.float16)),
    "weights through bfloat16": edit_weight(through(ml_dtypes.bfloat16)),
    "biases through float16": edit_weight(through(np.float16), op=2),
    "a NaN in one channel": edit_weight(one_bad(np.nan), op=2),
    "an infinity in one channel": edit_weight(one_bad(np.inf), op=2),
    "padding moved to one side": attribute("Conv", "pads", pads_moved),
    "output shape": on_output("Unsqueeze", [0]),
    "output dtype double": on_output("Cast", kind=TensorProto.DOUBLE, to=TensorProto.DOUBLE),
    "output rounded to bfloat16": on_output("Mul", 1.0 + 2.0**-9),
    "output scaled by 1 + 1e-5": on_output("Mul", 1.0 + 1e-5),
    "output shifted by 1e-4": on_output("Add", 1e-4),
    "output zeroed": on_output("Mul", 0.0),
    "output negated": on_output("Neg"),
    "output missing": output_missing,
    "output twice": output_twice,
    "output order": output_order,
    "output renamed": output_renamed,
    "input renamed": input_renamed,
    "batch frozen to 1": batch_frozen,
    "batch averaged": batch_averaged,
    "softmax over the wrong axis": attribute("Softmax", "axis", lambda axis: axis * 0),
    "softmax removed": removed("Softmax"),
    "erf to tanh": replaced("Erf", "Tanh"),
    "transpose removed": removed("Transpose"),
    "table right only in row 0": edit_table(only_row_0),
    "last row of the table off": edit_table(last_row),
    "tiny outputs zeroed": output_zeroed,
    "one tiny output off by 1e-11": tiny_shifted,
    "argmax off by one": argmax_shifted,
    "argmax to argmin": argmax_last,
    "mask negated": mask_negated,
    "mask threshold": mask_threshold,
    "global average to max": replaced("GlobalAveragePool", "GlobalMaxPool"),
}
"""Every breakage by name."""

# In half precision these changes are at or below one rounding of the weights themselves.
_BELOW_HALF = frozenset(
    {
        "weights through float16", "biases through float16", "eps dropped",
        "one weight off by 1e-4", "one bias off by 1e-4", "output scaled by 1 + 1e-5",
        "output shifted by 1e-4", "output rounded to bfloat16", "relu to leaky relu",
        "one weight off by 1e-2", "weights through bfloat16", "eps 1e-3", "clip at 5.9",
    }
)  # fmt: skip


def breakages(net: str, seed: int) -> Iterator[tuple[str, onnx.ModelProto, onnx.ModelProto]]:
    """Yield each mutation that the net has a place for: its name, the right and the wrong model."""
    for position, (name, mutate) in enumerate(MUTATIONS.items()):
        if net == "half" and name in _BELOW_HALF:
            continue
        right = NETS[net](seed, "float64")
        wrong = onnx.ModelProto()
        wrong.CopyFrom(right)
        rng = np.random.default_rng([seed, position])
        try:
            if getattr(mutate, "rebuilds", False):
                mutate(wrong, rng, net, seed)
            else:
                mutate(wrong, rng)
        except NotHereError:
            continue
        if not equivalent(right, wrong, seed):
            yield name, right, wrong


def equivalent(right: onnx.ModelProto, wrong: onnx.ModelProto, seed: int) -> bool:
    """Return whether a mutation left the function as it was (a bias that a softmax cancels)."""
    ports = signature_of(right)
    if signature_of(wrong) != ports:
        return False
    draft = Draft(ports.inputs, limits=index_limits(right), seed=seed)
    feeds = draft.draw(Draw("signed", candidates(draft)[0][0])).feeds
    try:
        with np.errstate(all="ignore"):
            before, after = (DoubleEvaluator(model).run(None, feeds) for model in (right, wrong))
    except TypeError:
        return False  # its shapes no longer fit
    return all(
        one.shape == two.shape and np.allclose(one, two, rtol=1e-10, atol=1e-14)
        for one, two in zip(before, after, strict=True)
    )
