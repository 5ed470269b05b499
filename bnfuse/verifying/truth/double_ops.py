"""Implementations that ``onnx.reference`` needs to compute in float64, and the ops it cannot.

Found by running every op on float64 inputs: ``Erf`` rounds to float32, casts narrow because the
model says so, and convolutions are slow rather than wrong. What computes in single precision
inside and has no replacement here is listed in :data:`NARROW`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_batch_normalization import (
    BatchNormalization_14 as _BatchNormalization,
)
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _ConvTranspose
from onnx.reference.ops.op_max_pool import MaxPool as _MaxPool

from bnfuse.verifying.runtime.floats import is_float
from bnfuse.verifying.truth import spatial
from bnfuse.verifying.truth.boxes import selected
from bnfuse.verifying.truth.erf import erf
from bnfuse.verifying.truth.jitter import by_channel

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DOUBLE_OPS", "FLOATS", "as_stored", "promoted"]

Array = np.ndarray[Any, Any]

FLOATS = frozenset(
    number
    for name, number in TensorProto.DataType.items()
    if name in {"BFLOAT16", "DOUBLE"} or name.startswith("FLOAT")
)


def promoted(value: Any) -> Any:
    """Return ``value`` in float64 if it is a float tensor (or a list of them), else unchanged."""
    if isinstance(value, list):
        return [promoted(item) for item in value]
    if isinstance(value, np.ndarray) and value.dtype != np.float64:
        return value.astype(np.float64) if is_float(value.dtype) else value
    return value


def as_stored(value: Array, dtype: int) -> Array:
    """Return ``value`` rounded to a float type, in float64; unchanged if the type is none."""
    if dtype not in FLOATS or value.dtype != np.float64:
        return value
    from onnx.reference.ops.op_cast import cast_to

    narrow = cast_to(value, TensorProto.DataType.ValueType(dtype), True)
    rounded: Array = promoted(narrow)
    return rounded


class Cast(OpRun):
    """A cast to a float type keeps every digit; any other does what it says."""

    def _run(self, x: Array, to: int, **_: Any) -> tuple[Array]:
        if to in FLOATS:
            return (_as_number(x),)
        from onnx.reference.ops.op_cast import cast_to

        return (cast_to(x, TensorProto.DataType.ValueType(to), True),)


class CastLike(OpRun):
    """As ``Cast``, to the type of the second input."""

    def _run(self, x: Array, y: Array, **_: Any) -> tuple[Array]:
        return (_as_number(x) if y.dtype == np.float64 else x.astype(y.dtype),)


class ConvTranspose(_ConvTranspose):
    """As :mod:`bnfuse.verifying.truth.spatial` does it; the reference where sizes are given."""

    def _run(  # type: ignore[override]
        self, x: Array, weight: Array, bias: Array | None = None, **attributes: Any
    ) -> tuple[Array]:
        if attributes.get("output_shape") or attributes.get("auto_pad") not in {None, "NOTSET"}:
            result: tuple[Array] = super()._run(  # type: ignore[no-untyped-call]
                x, weight, bias, **attributes
            )
            return result
        for name in ("kernel_shape", "auto_pad", "output_shape"):
            attributes.pop(name, None)
        return (spatial.conv_transpose(x, weight, bias, **attributes),)


class MaxPool(_MaxPool):
    """As :mod:`bnfuse.verifying.truth.spatial` does it; the reference where indices are wanted."""

    def _run(  # type: ignore[override]
        self, x: Array, **attributes: Any
    ) -> tuple[Array, ...]:
        if len(self.onnx_node.output) > 1:
            result: tuple[Array, ...] = super()._run(  # type: ignore[no-untyped-call]
                x, **attributes
            )
            return result
        attributes.pop("storage_order", None)
        return (spatial.max_pool(x, **attributes),)


class GatherElements(OpRun):
    """Of arrays of any size: the reference takes no more than 64 along the axis."""

    def _run(self, data: Array, indices: Array, axis: int | None = None) -> tuple[Array]:
        axis = (axis or 0) % data.ndim
        # The indices may be fewer than the data along the other axes, too.
        part = tuple(
            slice(None) if position == axis else slice(size)
            for position, size in enumerate(indices.shape)
        )
        return (np.take_along_axis(data[part], indices.astype(np.int64), axis),)


class NonMaxSuppression(OpRun):
    """As :mod:`bnfuse.verifying.truth.boxes` does it; the reference compares boxes one by one."""

    def _run(
        self,
        boxes: Array,
        scores: Array,
        most: Array | None = None,
        overlap: Array | None = None,
        least: Array | None = None,
        center_point_box: int | None = None,
    ) -> tuple[Array]:
        return (
            selected(
                boxes,
                scores,
                int(_number(most, 0)),
                _number(overlap, 0.0),
                None if least is None or not least.size else _number(least, 0.0),
                bool(center_point_box),
            ),
        )


class BatchNormalization(_BatchNormalization):
    """With running statistics, whatever the opset.

    Before opset 14 the reference takes the statistics of the batch, because the attribute
    ``momentum`` that says how training would average them is there.
    """

    def _run(  # type: ignore[override]
        self,
        x: Array,
        scale: Array,
        bias: Array,
        mean: Array,
        variance: Array,
        **attributes: Any,
    ) -> tuple[Array, ...]:
        if attributes.get("training_mode"):
            result: tuple[Array, ...] = super()._run(  # type: ignore[no-untyped-call]
                x, scale, bias, mean, variance, **attributes
            )
            return result
        shape = (-1,) + (1,) * (x.ndim - 2)
        deviation = np.sqrt(variance + attributes.get("epsilon", 1e-5))
        scaled = (x - mean.reshape(shape)) / deviation.reshape(shape) * scale.reshape(shape)
        return ((scaled + bias.reshape(shape)).astype(x.dtype),)


class GroupNormalization(OpRun):
    """With one scale and bias a channel, or as before opset 21 one a group.

    The reference has it as a function of its input's type, which it knows of no inner value.
    """

    def _run(
        self,
        x: Array,
        scale: Array,
        bias: Array,
        num_groups: int | None = None,
        epsilon: float | None = None,
        stash_type: int | None = None,
    ) -> tuple[Array]:
        del stash_type
        assert num_groups is not None
        grouped = x.reshape(len(x), num_groups, -1)
        centred = grouped - grouped.mean(axis=2, keepdims=True)
        variance = np.square(centred).mean(axis=2, keepdims=True)
        normalised = centred / np.sqrt(variance + (1e-5 if epsilon is None else epsilon))
        return (by_channel(normalised.reshape(x.shape), scale, bias).astype(x.dtype),)


def _conv(x: Array, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    attributes.pop("kernel_shape", None)
    return spatial.conv(x, weight, bias, **attributes)


def _op(name: str, function: Callable[..., Array]) -> type[OpRun]:
    """Return an op of one result that a function of its inputs and attributes gives."""

    def _run(self: OpRun, *inputs: Any, **attributes: Any) -> tuple[Array]:
        del self
        return (function(*inputs, **attributes),)

    return type(name, (OpRun,), {"_run": _run})


def _number(value: Array | None, default: float) -> float:
    return default if value is None or not value.size else float(value.reshape(-1)[0])


def _as_number(x: Array) -> Array:
    # Booleans, integers, strings and narrow floats all become float64 exactly (64-bit
    # integers to 53 bits).
    return x.astype(np.float64)


DOUBLE_OPS: tuple[type[OpRun], ...] = (
    BatchNormalization,
    Cast,
    CastLike,
    ConvTranspose,
    GatherElements,
    GroupNormalization,
    MaxPool,
    NonMaxSuppression,
    _op("AveragePool", spatial.average_pool),
    _op("Conv", _conv),
    # The reference rounds it to float32.
    _op("Erf", erf),
    # The reference keeps some positions beyond two axes.
    _op("GlobalMaxPool", lambda x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True)),
)
