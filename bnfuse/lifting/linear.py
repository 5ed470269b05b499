"""Linear maps by a constant: Conv, ConvTranspose, Gemm, MatMul and MatMul + Add.

A :class:`LinearMap` remembers the nodes it was read from and what has been absorbed since. Its
weight stays the stored tensor with one pending scale per output and per input channel, so an
absorption costs O(channels), and the weight is read and rounded once, when it is written.
"""

from __future__ import annotations

__all__ = ["LINEAR_OPS", "Absorbed", "LinearMap", "Side", "read_linear"]

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.graph.access import given, input_of
from bnfuse.graph.source import OfNode, Source
from bnfuse.lifting.weight import Layout, StoredWeight

if TYPE_CHECKING:
    from collections.abc import Hashable

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import Constant, ConstantEvaluator
    from bnfuse.lifting.sites import Site

Vector = NDArray[np.float64]
Side = Literal["after", "before"]
"""Where an affine stands beside an op that takes it."""


@dataclass(frozen=True, eq=False)
class Absorbed:
    """One absorption: on which side of the linear map the affine stood."""

    side: Side
    affine: ChannelAffine


@dataclass(frozen=True, eq=False)
class LinearMap(OfNode):
    """``y = W · x + b`` with constant ``W`` and ``b``: a Conv, a product or a recurrent op.

    Attributes:
        bias_source: The Add of a MatMul's bias, as it stood in the graph.
        weight: The stored weight.
        bias: The stored bias, if there is one.
        constant_on_left: Whether the weight is the left factor of a matrix product.
        input_axis: The axis of ``x`` that holds its channels.
        output_axis: The axis of ``y`` that holds its channels.
        rows: float64 (O,), the pending scale of each output channel.
        columns: float64 (I,), the pending scale of each input channel.
        stored_offset: float64 (O,), the whole bias as the model stores it.
        product: The name of a MatMul's output before the Add of its bias.
        offset: float64 (O,), the whole bias as it stands now.
        offset_magnitude: float64 (O,), the sum of the absolute terms of ``offset``.
        history: What was absorbed, in order.
        is_merged: Whether it is the sum of several of the model's linear maps.
        recurrent_bias: float64 (directions, gates · hidden), what a recurrent op stores behind the
            bias; ``None`` for any other op.
    """

    weight: StoredWeight
    bias: Constant | None
    input_axis: int
    output_axis: int
    rows: Vector
    columns: Vector
    offset: Vector
    offset_magnitude: Vector
    stored_offset: Vector
    bias_source: Source | None = None
    constant_on_left: bool = False
    product: str = ""
    history: tuple[Absorbed, ...] = ()
    is_merged: bool = False
    recurrent_bias: Vector | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        weight: StoredWeight,
        bias: Constant | None,
        offset: Vector,
        axes: tuple[int, int] = (1, 1),
        *,
        on_left: bool = False,
    ) -> LinearMap:
        """A map that has absorbed nothing.

        Args:
            source: The node.
            weight: The stored weight.
            bias: The stored bias.
            offset: (O,), the whole bias.
            axes: The axes of the channels in ``x`` and in ``y``.
            on_left: Whether the weight is the left factor.
        """
        offset = offset.astype(np.float64)
        return cls(
            source=source,
            weight=weight,
            bias=bias,
            input_axis=axes[0],
            output_axis=axes[1],
            rows=np.ones(weight.layout.outputs),
            columns=np.ones(weight.layout.inputs),
            offset=offset,
            offset_magnitude=np.abs(offset),
            stored_offset=offset,
            constant_on_left=on_left,
        )

    @property
    def pads_with_zeros(self) -> bool:
        """Whether any output may see a zero that stands for no input."""
        if self.op_type not in ("Conv", "ConvTranspose"):
            return False
        if self.op_type == "ConvTranspose":
            # Its borders see fewer taps than its inside: the same harm as zero padding.
            return True
        automatic = self.source.frame.attributes.get_string("auto_pad", "NOTSET")
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            return True
        return automatic == "NOTSET" and any(self.source.frame.attributes.get_ints("pads", []))

    @property
    def layout(self) -> Layout:
        """Where the channels lie in the weight."""
        return self.weight.layout

    @property
    def has_bias(self) -> bool:
        """Whether it adds anything, or stores a bias that is 0."""
        return self.bias is not None or bool(np.any(self.offset != 0.0))

    @property
    def is_changed(self) -> bool:
        """Whether it is another map than the model's."""
        return bool(self.history) or self.is_merged

    @property
    def weight_changed(self) -> bool:
        """Whether the weight that must be stored is another one than the model's."""
        pending = self.has_pending_rows or self.has_pending_columns
        return self.is_merged or (self.is_changed and (pending or self.weight.gain != 1.0))

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the weight as the op stores it."""
        if self.recurrent_bias is None:
            return self.layout.shape
        return (*self.recurrent_bias.shape, self.layout.inputs)

    @property
    def weight_key(self) -> Hashable:
        """What the numbers of the weight follow from: a stored tensor and O(channels) scales.

        A merged weight is stored nowhere yet: there it is the numbers themselves.
        """
        stored: Hashable = self.weight.constant.root
        if self.is_merged:
            stored = hashlib.sha256(self.weight.constant.array().tobytes()).digest()
        pending = (self.rows.tobytes(), self.columns.tobytes())
        return (stored, self.weight.gain, self.layout, self.stored_shape, *pending)

    def with_bias(self, source: Source, bias: Constant, offset: Vector, product: str) -> LinearMap:
        """The same map with the bias that an Add after a MatMul stores."""
        vector = np.broadcast_to(offset, (self.layout.outputs,))
        return replace(
            self,
            bias_source=source,
            product=product,
            bias=bias,
            stored_offset=vector,
            offset=vector,
            offset_magnitude=np.abs(vector),
        )

    def stored_bias(self, vector: Vector) -> Vector:
        """A bias (O,), or the units of one, shaped as the op wants it.

        Along the rows where the constant stands on the left.
        """
        if self.recurrent_bias is not None:
            own = vector.reshape(self.recurrent_bias.shape)
            return np.concatenate([own, self.recurrent_bias], axis=1)
        if self.op_type in ("Gemm", "MatMul") and self.constant_on_left:
            return vector.reshape(-1, 1)
        return vector

    def taking(self, side: Side, affine: ChannelAffine, _: tuple[Site, ...] = ()) -> LinearMap:
        """The same with an affine after or before it, whose sites are gone then."""
        return self.after(affine) if side == "after" else self.before(affine)

    def after(self, affine: ChannelAffine) -> LinearMap:
        """``affine(W · x + b)``: ``W[o] *= s[o]``, ``b = s · b + t``."""
        scale, shift, magnitude = affine.expanded(self.layout.outputs)
        return replace(
            self,
            rows=scale * self.rows,
            offset=scale * self.offset + shift,
            offset_magnitude=np.abs(scale) * self.offset_magnitude + magnitude,
            history=(*self.history, Absorbed("after", affine)),
        )

    def before(self, affine: ChannelAffine) -> LinearMap:
        """``W · affine(x) + b``: ``W[:, i] *= s[i]``, ``b += Σ W[:, i] · t[i]``."""
        scale, shift, magnitude = affine.expanded(self.layout.inputs)
        offset, offset_magnitude = self.offset, self.offset_magnitude
        if affine.has_shift:
            weight = self.exact_weight()
            taps, absolute = weight.sum(axis=3), np.abs(weight).sum(axis=3)
            groups = (self.layout.group, -1)
            offset = offset + np.einsum("goi,gi->go", taps, shift.reshape(groups)).ravel()
            offset_magnitude = (
                offset_magnitude
                + np.einsum("goi,gi->go", absolute, magnitude.reshape(groups)).ravel()
            )
        return replace(
            self,
            columns=scale * self.columns,
            offset=offset,
            offset_magnitude=offset_magnitude,
            history=(*self.history, Absorbed("before", affine)),
        )

    def channel_bounds(self) -> tuple[Vector, Vector]:
        """The largest absolute weight per output channel (O,), and per input channel (I,).

        Exact with scales pending on one side, an upper bound with both.
        """
        rows, columns = self.weight.peaks
        group = self.layout.group
        per_row = np.abs(self.rows) * rows
        per_column = np.abs(self.columns) * columns
        if self.has_pending_columns:
            widest = np.abs(self.columns).reshape(group, -1).max(axis=1)
            per_row = (per_row.reshape(group, -1) * widest[:, None]).ravel()
        if self.has_pending_rows:
            widest = np.abs(self.rows).reshape(group, -1).max(axis=1)
            per_column = (per_column.reshape(group, -1) * widest[:, None]).ravel()
        return per_row, per_column

    @property
    def has_pending_rows(self) -> bool:
        """Whether an output channel's scale is pending."""
        return bool(np.any(self.rows != 1.0))

    @property
    def has_pending_columns(self) -> bool:
        """Whether an input channel's scale is pending."""
        return bool(np.any(self.columns != 1.0))

    def exact_weight(self) -> NDArray[np.float64]:
        """The weight with everything pending applied, canonical (G, O/G, I/G, K), float64."""
        group, weight = self.layout.group, self.weight.canonical()
        if self.has_pending_rows:
            weight *= self.rows.reshape(group, -1, 1, 1)
        if self.has_pending_columns:
            weight *= self.columns.reshape(group, 1, -1, 1)
        return weight


def read_linear(node: ir.Node, constants: ConstantEvaluator) -> LinearMap | None:
    """The linear map that ``node`` is, or ``None``; a MatMul's bias is joined later."""
    read = _READERS.get(node.op_type)
    linear = None if read is None or node.domain else read(node, constants)
    if linear is None or not linear.weight.constant.dtype.is_floating_point():
        return None
    return linear if all(linear.layout.shape) else None


def _read_conv(node: ir.Node, constants: ConstantEvaluator) -> LinearMap | None:
    weight, bias = constants.constant(node.inputs[1]), constants.constant(given(node, 2))
    if weight is None or constants.varies(given(node, 2)):
        return None
    if constants.is_constant(input_of(node)):
        return None
    transposed = node.op_type == "ConvTranspose"
    layout = Layout(
        shape=weight.shape,
        out_axis=1 if transposed else 0,
        in_axis=0 if transposed else 1,
        group=node.attributes.get_int("group", 1),
        transposed=transposed,
    )
    offset = np.zeros(layout.outputs) if bias is None else bias.array().reshape(-1)
    return LinearMap.of(Source.of(node), StoredWeight(weight, layout), bias, offset)


def _read_gemm(node: ir.Node, constants: ConstantEvaluator) -> LinearMap | None:
    factors, bias = _factors(node, constants), constants.constant(given(node, 2))
    if factors is None or constants.varies(given(node, 2)):
        return None
    weight, _, on_left = factors
    transposed = bool(node.attributes.get_int("transA" if on_left else "transB", 0))
    # As a matrix the left operand is (outputs, inputs) and the right one (inputs, outputs).
    out_axis = int(on_left == transposed)
    layout = Layout(weight.shape, out_axis=out_axis, in_axis=1 - out_axis)
    offset = np.zeros(layout.outputs)
    if bias is not None:
        vector = _bias_vector(bias.array(), layout.outputs, axis=0 if on_left else 1, rank=2)
        if vector is None:
            return None
        offset = vector * node.attributes.get_float("beta", 1.0)
    other_transposed = bool(node.attributes.get_int("transB" if on_left else "transA", 0))
    inner = 0 if on_left else 1
    return LinearMap.of(
        Source.of(node),
        StoredWeight(weight, layout, gain=node.attributes.get_float("alpha", 1.0)),
        bias,
        offset,
        axes=(1 - inner if other_transposed else inner, inner),
        on_left=on_left,
    )


def _read_matmul(node: ir.Node, constants: ConstantEvaluator) -> LinearMap | None:
    factors, y = _factors(node, constants), node.outputs[0]
    if factors is None:
        return None
    weight, x, on_left = factors
    if x.shape is None or len(x.shape) < 2:
        return None
    shape = weight.shape
    # A batch of matrices is a linear map per batch index, and a vector drops an axis: neither is
    # one map along one channel axis.
    if len(shape) < 2 or len(shape) > len(x.shape) or any(n != 1 for n in shape[:-2]):
        return None
    rank = len(x.shape)
    last, before_last = len(shape) - 1, len(shape) - 2
    layout = Layout(
        shape,
        out_axis=before_last if on_left else last,
        in_axis=last if on_left else before_last,
    )
    if y.shape is None:
        dims = [layout.outputs, x.shape[-1]] if on_left else [x.shape[-2], layout.outputs]
        y.shape = ir.Shape([*x.shape.dims[:-2], *dims])
    axis = rank - 2 if on_left else rank - 1
    offset = np.zeros(layout.outputs)
    return LinearMap.of(
        Source.of(node), StoredWeight(weight, layout), None, offset, (axis, axis), on_left=on_left
    )


_READERS = {
    "Conv": _read_conv,
    "ConvTranspose": _read_conv,
    "Gemm": _read_gemm,
    "MatMul": _read_matmul,
}
LINEAR_OPS = frozenset(_READERS)
"""The operators that are lifted to linear maps where a factor is constant."""


def _factors(node: ir.Node, constants: ConstantEvaluator) -> tuple[Constant, ir.Value, bool] | None:
    """The one constant factor of a product, the other factor, and whether it is the left one."""
    left, right = input_of(node, 0), input_of(node, 1)
    on_left = constants.is_constant(left)
    if on_left == constants.is_constant(right):
        return None
    weight = constants.constant(left if on_left else right)
    return None if weight is None else (weight, right if on_left else left, on_left)


def _bias_vector(array: NDArray[np.float64], outputs: int, axis: int, rank: int) -> Vector | None:
    """A Gemm's C as one number per output channel, or ``None`` when it is something else."""
    aligned = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if any(n != 1 for i, n in enumerate(aligned.shape) if i != axis):
        return None
    return np.broadcast_to(aligned.reshape(-1), (outputs,))
