"""onnxsim, held to constant folding and to rewrites that leave norms, scales and biases alone."""

from __future__ import annotations

__all__ = ["KEPT_PASSES", "Simplified", "simplified", "skipped_passes"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

from bnfuse.exporting.canonical import canonicalize
from bnfuse.exporting.growth import undo_growth
from bnfuse.exporting.naming import restore_metadata, unique_names
from bnfuse.exporting.quiet import quiet, quiet_descriptors
from bnfuse.exporting.request import one_sentence
from bnfuse.exporting.skeleton import TooLargeError, skeleton

if TYPE_CHECKING:
    import onnx

KEPT_PASSES = frozenset(
    {
        "eliminate_consecutive_idempotent_ops",
        "eliminate_deadend",
        "eliminate_identity",
        "eliminate_if_with_const_cond",
        "eliminate_loop_with_const_trip_count",
        "eliminate_nop_cast",
        "eliminate_nop_concat",
        "eliminate_nop_dropout",
        "eliminate_nop_expand",
        "eliminate_nop_flatten",
        "eliminate_nop_pad",
        "eliminate_nop_reduce",
        "eliminate_nop_reshape",
        "eliminate_nop_split",
        "eliminate_nop_transpose",
        "eliminate_shape_op",
        "eliminate_slice_after_shape",
        "eliminate_unused_initializer",
        "fuse_concat_into_reshape",
        "fuse_consecutive_reshapes",
        "fuse_consecutive_slices",
        "fuse_consecutive_squeezes",
        "fuse_consecutive_transposes",
        "fuse_consecutive_unsqueezes",
    }
)
"""The passes of onnxsim that run: operators without effect, and chains of pure data movement.

Named are those to keep and not those to skip: onnxsim registers some of its fusions (Mul into Conv
from both sides, Mul into Mul) on its first run only, and a later release may add more.
"""

# onnxsim runs this one although it is in no list.
_UNLISTED = "fuse_matmul_add_bias_into_gemm_batched"


@dataclass(frozen=True)
class Simplified:
    """A simplified graph, or a copy of the given one with the reason in ``note``."""

    model: ir.Model
    note: str = ""


def simplified(model: ir.Model) -> Simplified:
    """Simplify a model with onnxsim; see :func:`bnfuse.exporting.simplify`.

    The model is not changed. Folded constants keep their type and are computed in it, as the
    model itself would compute them.
    """
    plain = model.clone()
    canonicalize(plain)
    try:
        bare = skeleton(plain, keep_foldable=True)
    except TooLargeError as error:
        return Simplified(model.clone(), f"onnxsim was left out: {error}")
    try:
        with quiet(), quiet_descriptors():
            proto = _onnxsim(bare.proto)
        result = bare.restored(proto)
        changed = _interface_change(model, result)
        if not changed:
            _tidy(plain, result)
    except Exception as error:
        return Simplified(model.clone(), f"onnxsim was left out: it failed: {one_sentence(error)}")
    if changed:
        return Simplified(model.clone(), f"onnxsim was left out: it changed {changed}")
    return Simplified(result)


def _onnxsim(proto: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    result: tuple[onnx.ModelProto, bool] = onnxsim.simplify(
        proto, skip_fuse_bn=True, skipped_optimizers=skipped_passes()
    )
    return result[0]


def skipped_passes() -> list[str]:
    """Every pass that this onnxsim has and :data:`KEPT_PASSES` does not."""
    import onnxsim
    from onnxsim import onnxsim_cpp2py_export as core

    # The first run registers passes that the list does not show before it.
    onnxsim.simplify(ir.to_proto(_identity()))
    return sorted(({*core._list_optimizers()} | {_UNLISTED}) - KEPT_PASSES)


def _identity() -> ir.Model:
    given = ir.val("x", dtype=ir.DataType.FLOAT, shape=[1])
    node = ir.node("Relu", [given])
    result = node.outputs[0]
    result.name, result.type, result.shape = "y", given.type, given.shape
    graph = ir.Graph([given], [result], nodes=[node], opset_imports={"": 18}, name="identity")
    return ir.Model(graph, ir_version=10)


def _interface_change(before: ir.Model, after: ir.Model) -> str:
    if before.opset_imports.get("") != after.opset_imports.get(""):
        return "the opset"
    for kind in ("inputs", "outputs"):
        if _interface(getattr(before.graph, kind)) != _interface(getattr(after.graph, kind)):
            return f"the {kind}"
    return ""


def _interface(values: Any) -> list[tuple[Any, ...]]:
    # An output's shape may become better known; an input's is the user's word.
    return [
        (value.name, value.type, value.shape if value.is_graph_input() else None)
        for value in values
    ]


def _tidy(before: ir.Model, after: ir.Model) -> None:
    """Give surviving nodes their metadata back, which onnxsim drops, and drop what it adds."""
    after.metadata_props.clear()
    after.metadata_props.update(before.metadata_props)
    after.producer_name, after.producer_version = before.producer_name, before.producer_version
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(after)
    undo_growth(before, after)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(after)
    RemoveUnusedNodesPass()(after)
    unique_names(after)
    restore_metadata(before, after)
