"""One export job: the module in inference mode, its example inputs, the names to give."""

from __future__ import annotations

__all__ = ["RefusedError", "Request", "one_sentence", "request", "where"]

import inspect
import re
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bnfuse.errors import ExportError
from bnfuse.examples.untouched import untouched
from bnfuse.exporting.outputs import flatten, output_names
from bnfuse.loading import set_eval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from bnfuse.examples import ExampleInputs

_VARIADIC = inspect.Parameter.VAR_POSITIONAL


class RefusedError(Exception):
    """An exporter does not take this module; the message is a clause that says why."""


@dataclass(frozen=True)
class Request:
    """What both exporters need to know.

    Attributes:
        module: The module, in eval mode while the request is served.
        inputs: Its example inputs.
        args: The examples to pass by position.
        kwargs: The examples to pass by name.
        outputs: The names of the tensors that it returns.
        opset: The version of the default operator set to aim for.
    """

    module: nn.Module
    inputs: ExampleInputs
    args: tuple[torch.Tensor, ...]
    kwargs: dict[str, torch.Tensor]
    outputs: tuple[str, ...]
    opset: int

    def call(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Run the module on other tensors in place of the examples; return its flat outputs."""
        args = tensors[: len(self.args)]
        kwargs = dict(zip(self.kwargs, tensors[len(self.args) :], strict=True))
        with untouched(self.module), torch.no_grad():
            return [tensor for _, tensor in flatten(self.module(*args, **kwargs))]

    def resized(self, sizes: Mapping[tuple[str, int], int]) -> list[torch.Tensor]:
        """Return the examples with some (input, axis) at other sizes, filled by repetition."""
        tensors = dict(zip(self.inputs.names, self.inputs.args, strict=True))
        for (name, axis), size in sizes.items():
            tensor = tensors[name]
            places = torch.arange(size, device=tensor.device) % max(tensor.shape[axis], 1)
            tensors[name] = tensor.index_select(axis, places)
        return list(tensors.values())

    def accepts(self, sizes: Mapping[tuple[str, int], int]) -> bool:
        """Whether the module runs when the examples have these sizes."""
        try:
            self.call(*self.resized(sizes))
        except Exception:
            return False
        return True

    def per_argument(self, values: list[Any]) -> dict[str, Any]:
        """Arrange one value per example as ``forward``'s signature arranges the examples."""
        if isinstance(self.module, torch.jit.ScriptModule):
            return dict(zip(self.inputs.names, values, strict=True))
        positional = values[: len(self.args)]
        named = dict(zip(self.kwargs, values[len(self.args) :], strict=True))
        bound = inspect.signature(self.module.forward).bind(*positional, **named)
        return dict(bound.arguments)


@contextmanager
def request(module: nn.Module, inputs: ExampleInputs, opset: int) -> Iterator[Request]:
    """Put the module into eval mode and run it once, so that a failing model says so itself.

    Raises:
        ExportError: The module fails on the example inputs or returns no tensor.
    """
    args, kwargs = _binding(module, inputs)
    training = [(part, part.training) for part in module.modules()]
    try:
        set_eval(module)
        try:
            with untouched(module), torch.no_grad():
                flat = flatten(module(*args, **kwargs))
        except Exception as error:
            raise ExportError(
                f"The model fails on its example inputs: {one_sentence(error)}{where(error)}.",
                _other_type(module, inputs)
                or "Give the input shapes that it expects, or see that it runs in eval mode.",
            ) from error
        if not flat:
            raise ExportError(
                "The model's forward returns no tensor, so there is no graph to export.",
                "Return the tensors to compute, alone or in a tuple, dict or dataclass.",
            )
        yield Request(module, inputs, args, kwargs, tuple(output_names(flat)), opset)
    finally:
        for part, flag in training:
            part.training = flag


def _other_type(module: nn.Module, inputs: ExampleInputs) -> str:
    """What to do where an input's type is not that of the weights."""
    own = {p.dtype for p in module.parameters() if p.is_floating_point()}
    for name, value in zip(inputs.names, inputs.args, strict=True):
        if value.is_floating_point() and len(own) == 1 and value.dtype not in own:
            given, wanted = (str(t).removeprefix("torch.") for t in (value.dtype, *own))
            return f"{name} is {given} and the weights are {wanted}: give it as {wanted}."
    return ""


def _binding(
    module: nn.Module, inputs: ExampleInputs
) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
    """Pass by position where the names lie in forward's order, by name where they skip one."""
    if isinstance(module, torch.jit.ScriptModule):
        return inputs.args, {}
    parameters = inspect.signature(module.forward).parameters
    for place, name in enumerate(inputs.names):
        parameter = list(parameters.values())[place : place + 1]
        if not parameter or parameter[0].kind is _VARIADIC or name not in parameters:
            break
        if parameter[0].name != name or parameter[0].kind is inspect.Parameter.KEYWORD_ONLY:
            rest = zip(inputs.names[place:], inputs.args[place:], strict=True)
            return inputs.args[:place], dict(rest)
    return inputs.args, {}


def one_sentence(error: BaseException) -> str:
    """The first line of an error's message, without colours, its full stop or a bare type name."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    return text.splitlines()[0].strip().rstrip(".:")


def where(error: BaseException) -> str:
    """Return ``" at model.py:40"``, the innermost line outside torch, or the empty string."""
    inside = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((*inside, "<"))]
    if not own:
        return ""
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}"
