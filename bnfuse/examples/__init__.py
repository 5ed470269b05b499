"""Example inputs of a module: inferred from its first layers, tried, or as they were given."""

from __future__ import annotations

__all__ = [
    "ExampleInputs",
    "InputShape",
    "example_inputs",
    "given_inputs",
    "parse_input_shape",
    "signature_of",
]

from bnfuse.examples.example import ExampleInputs
from bnfuse.examples.input_shape import InputShape, parse_input_shape
from bnfuse.examples.inputs import example_inputs, given_inputs
from bnfuse.examples.signature import signature_of
