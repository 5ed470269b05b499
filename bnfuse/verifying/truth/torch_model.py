"""An ``nn.Module`` as the original: its own runs, and a run in which everything is float64."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bnfuse.loading import set_eval
from bnfuse.verifying.runtime.calibration import SINGLE
from bnfuse.verifying.runtime.onnx_models import OnnxSource, onnx_source
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.truth.double import NoTruthError
from bnfuse.verifying.truth.torch_double import DoubleMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.verifying.truth.branches import BranchCounter
    from bnfuse.verifying.truth.jitter import Jitter
    from bnfuse.verifying.truth.torch_decisions import DecisionMode

__all__ = ["TorchModel", "flatten"]

Array = np.ndarray[Any, Any]


class TorchModel:
    """A module, called by input names or in the order of its parameters.

    Attributes:
        module: An eval-mode copy where the module can be copied, else the module itself.
        notes: What a reader should know of it.
        ops: The names of the ops that its float64 runs met.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        names: Sequence[str],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.notes: list[str] = []
        if module.training:
            self.notes.append("the original was in training mode; it is judged in eval mode")
        try:
            self.module = copy.deepcopy(module)
        except Exception:
            self.module = module
        set_eval(self.module)
        self._names = list(names)
        self._extra = dict(extra or {})
        self._doubled: torch.nn.Module | None = None
        self.ops: set[str] = set()

    def run(
        self,
        feeds: Mapping[str, Array],
        onednn: bool = True,
        decisions: DecisionMode | None = None,
    ) -> list[Array]:
        """Return the module's own outputs; ``decisions`` records what it decides.

        Raises:
            RunError: The module refused the inputs.
        """
        try:
            with warnings.catch_warnings(), torch.no_grad():
                # Switching oneDNN off warns of Intel GPUs, and models of their own matters.
                warnings.simplefilter("ignore")
                with torch.backends.mkldnn.flags(enabled=onednn), decisions or nullcontext():
                    return flatten(self._call(self.module, feeds))
        except Exception as error:
            raise RunError(
                f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ) from None

    def run_double(
        self,
        feeds: Mapping[str, Array],
        deadline: float | None = None,
        branches: BranchCounter | None = None,
        jitter: Jitter | None = None,
        decisions: DecisionMode | None = None,
    ) -> tuple[list[Array], set[str]]:
        """Return the outputs in float64, and the ops that had pinned a narrower float.

        Raises:
            NoTruthError: The deadline passed, or the module draws random numbers.
            RunError: The module does not run in float64.
        """
        try:
            if self._doubled is None:
                self._doubled = copy.deepcopy(self.module).double()
            mode = DoubleMode(deadline, branches, jitter, _stored(self.module))
            mode.ops = self.ops
            with torch.no_grad(), mode, decisions or nullcontext():
                output = self._call(self._doubled, feeds)
            outputs = flatten(output)
        except NoTruthError:
            raise
        except Exception as error:
            raise RunError(
                f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ) from None
        if any(value.dtype in (np.float32, np.float16) for value in outputs):
            raise RunError("an output stays in single precision")
        return outputs, mode.pinned

    def exported(
        self, feeds: Mapping[str, Array], dynamic: Sequence[dict[int, str]] = (), **options: Any
    ) -> OnnxSource:
        """Return an unfolded export of the module, with values named as bnfuse's exports name them.

        Args:
            feeds: Example inputs.
            dynamic: The symbols of each input's axes; none to leave them to the exporter.
            options: Of :func:`bnfuse.exporting.export_module`.

        Raises:
            BnfuseError: It cannot be exported.
        """
        from bnfuse.examples import ExampleInputs, given_inputs
        from bnfuse.exporting import export_module

        tensors = tuple(torch.from_numpy(value.copy()) for value in feeds.values())
        examples = given_inputs(self.module, tensors)
        if dynamic:
            examples = ExampleInputs(tensors, examples.names, tuple(dynamic), examples.found)
        return onnx_source(export_module(self.module, examples, **options).model, "export")

    def order_fault(self, names: Sequence[str]) -> str:
        """Return what is wrong with the order of a candidate's inputs, or the empty string.

        A candidate whose inputs have other names than the module's parameters is taken by position.
        """
        own = [name for name in _parameters(self.module) if name in set(names)]
        if len(own) < len(names) or own == list(names):
            return ""
        return f"the candidate has its inputs in another order: {list(names)}, the module {own}"

    def table_sizes(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Return, for each integer input that goes to an ``nn.Embedding``, the table's rows."""
        limits: dict[str, int] = {}

        def note(table: Any, args: tuple[Any, ...]) -> None:
            for name, value in feeds.items():
                read = args[0].detach().cpu().numpy().ravel() if args else np.empty(0)
                if value.dtype.kind in "iu" and np.array_equal(read, value.ravel()):
                    rows = table.num_embeddings
                    limits[name] = min(limits.get(name, rows), rows)

        hooks = [
            part.register_forward_pre_hook(note)
            for part in self.module.modules()
            if isinstance(part, (torch.nn.Embedding, torch.nn.EmbeddingBag))
        ]
        try:
            self.run(feeds)
        except RunError:
            return {}
        finally:
            for hook in hooks:
                hook.remove()
        return limits

    def _call(self, module: torch.nn.Module, feeds: Mapping[str, Array]) -> Any:
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in feeds.items()}
        parameters = _parameters(module)
        if self._extra:
            merged = {**self._extra, **tensors}
            return module(*(merged[name] for name in self._names))
        if parameters and set(tensors) <= set(parameters):
            return module(**tensors)
        return module(*(tensors[name] for name in self._names if name in tensors))


def flatten(output: Any) -> list[Array]:
    """Return the tensors of a module's output in order: nested tuples, mappings, dataclasses.

    Raises:
        TypeError: One is of a type that numpy does not carry.
    """
    if isinstance(output, torch.Tensor):
        if output.dtype == torch.bfloat16:
            raise TypeError("an output is bfloat16, which numpy does not carry: end in .float()")
        return [output.detach().cpu().numpy()]
    if isinstance(output, Mapping):
        parts: list[Any] = list(output.values())
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        parts = [getattr(output, item.name) for item in dataclasses.fields(output)]
    elif isinstance(output, (list, tuple)):
        parts = list(output)
    else:
        return []
    return [array for part in parts for array in flatten(part)]


def _stored(module: torch.nn.Module) -> float:
    """Return the widest rounding unit of a module's weights."""
    values = [*module.parameters(), *module.buffers()]
    units = [torch.finfo(value.dtype).eps / 2 for value in values if value.is_floating_point()]
    return max(units, default=SINGLE)


def _parameters(module: torch.nn.Module) -> list[str]:
    try:
        found = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [item.name for item in found if item.kind in kinds]
