"""A node with all that its meaning depends on: attributes, their defaults, and parameters."""

from __future__ import annotations

__all__ = ["PARAMETERS", "RANDOM", "VIEWS", "Node", "NotProved", "need", "plain", "words"]

from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from bnfuse.checker.definitions import name_of


class NotProved(Exception):  # noqa: N818 - a verdict, not a failure
    """A value for which no law gives what is claimed.

    Attributes:
        value: The value of the candidate (or of the original) that was looked at.
        wrong: Whether both sides match in form and a constant differs beyond any rounding.
    """

    def __init__(self, reason: str, value: str = "", wrong: bool = False) -> None:
        super().__init__(reason)
        self.value = value
        self.wrong = wrong


def need(premise: object, reason: str, value: str = "") -> None:
    """Demand a premise.

    Raises:
        NotProved: It does not hold.
    """
    if not premise:
        raise NotProved(reason, value)


def words(text: str) -> tuple[str, ...]:
    """Names of ops."""
    return tuple(text.split())


RANDOM = words(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
)
"""Ops that draw: two draws are never the same. A Dropout that does not train is no node."""

VIEWS = words("Flatten Reshape Squeeze Unsqueeze")
"""Ops that keep the elements in row-major order."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        words(
            "Squeeze Unsqueeze ReduceMean ReduceMax ReduceMin ReduceSum ReduceL1 ReduceL2 "
            "ReduceProd ReduceLogSumExp ReduceSumSquare"
        ),
        ("axes",),
    ),
    "Pad": ("pads", "value", "axes"),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Dropout": ("ratio", "training_mode"),
    "TopK": ("k",),
    "Tile": ("repeats",),
    "Expand": ("shape",),
    "Reshape": ("shape",),
    "Upsample": ("scales",),
}
"""What newer opsets take as an input behind the first, older ones took as an attribute."""


@dataclass(frozen=True, eq=False)
class Node:
    """A node.

    Attributes:
        op: The op type, with its domain before it where that is not ONNX's own.
        inputs: The names of its inputs, trailing empty ones dropped.
        outputs: The names of its outputs.
        attributes: Every attribute of the schema, defaults filled in.
        opset: The version of its operator set.
        proto: As it stands in the file.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    proto: onnx.NodeProto

    @classmethod
    def of(cls, proto: onnx.NodeProto, opsets: dict[str, int]) -> Node:
        """Fill in what the specification says where an attribute is left out."""
        op = name_of(proto)
        version = opsets.get("" if op == proto.op_type else proto.domain, 1)
        attributes: dict[str, Any] = {}
        if op == proto.op_type:
            schema = onnx.defs.get_schema(op, version)
            given = {attribute.name for attribute in proto.attribute}
            fits = schema.min_input <= len(proto.input) <= schema.max_input
            fits = fits and given <= schema.attributes.keys() and len(given) == len(proto.attribute)
            need(fits, f"{op} is not written as it should be")
            for name, attribute in schema.attributes.items():
                default = attribute.default_value
                attributes[name] = (
                    plain(helper.get_attribute_value(default)) if default.name else None
                )
        for own in proto.attribute:
            need(not own.ref_attr_name, "an attribute refers to a function's")
            attributes[own.name] = plain(helper.get_attribute_value(own))
        old = (op != "Gemm" and attributes.get("broadcast")) or (op == "PRelu" and version < 7)
        need(not old, f"{op} broadcasts as it did before operator set 7")
        kernel = attributes.get("kernel_shape")
        if kernel:
            if attributes.get("auto_pad") == "VALID" and not attributes.get("ceil_mode"):
                attributes |= {"auto_pad": "NOTSET", "pads": None}
            for name, filled in (("strides", 1), ("dilations", 1), ("pads", 0)):
                if attributes.get(name) is None:
                    attributes[name] = (filled,) * len(kernel) * (2 if name == "pads" else 1)
        inputs = list(proto.input)
        while inputs and not inputs[-1]:
            inputs.pop()
        return cls(op, tuple(inputs), tuple(proto.output), attributes, version, proto)

    @property
    def bodies(self) -> list[onnx.GraphProto]:
        """The graphs that it holds, as If and Loop do."""
        return [a.g for a in self.proto.attribute if a.type == onnx.AttributeProto.GRAPH]


def plain(value: Any) -> Any:
    """An attribute's value as one that compares and hashes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return tuple(plain(item) for item in value)
    if isinstance(value, TensorProto) and value.data_type == TensorProto.STRING:
        return (tuple(value.dims), tuple(value.string_data))
    if isinstance(value, TensorProto):
        return (value.data_type, tuple(value.dims), numpy_helper.to_array(value).tobytes())
    if isinstance(value, onnx.GraphProto | onnx.SparseTensorProto | onnx.TypeProto):
        return value.SerializeToString(deterministic=True)
    return value
