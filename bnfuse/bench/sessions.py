"""ONNX Runtime sessions that leave the processor alone when it is not their turn."""

from __future__ import annotations

__all__ = ["Feeds", "Runner", "full_name", "open_runner"]

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bnfuse.errors import LoadError, ProviderError, UsageError
from bnfuse.verifying.runtime.providers import ort_name, resolve

if TYPE_CHECKING:
    from pathlib import Path

Feeds: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
"""Inputs by name."""


@dataclass(frozen=True, eq=False)
class Runner:
    """An open session.

    Attributes:
        session: ONNX Runtime's.
        label: How the model is named in messages.
    """

    session: Any
    label: str

    def run(self, feeds: Feeds) -> list[Any]:
        """The outputs in order.

        Raises:
            UsageError: The model refuses the inputs.
        """
        try:
            return list(self.session.run(None, feeds))
        except Exception as error:
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feeds.items())
            raise UsageError(
                f"{self.label} does not run on {shapes}: {_one_line(error)}.",
                "Give sizes that it accepts with --batch and --input-shape.",
            ) from error


def full_name(provider: str) -> str:
    """ONNX Runtime's name of ``provider`` (``cpu``, ``cuda``, or that name), which works here.

    Raises:
        ProviderError: It does not.
        UsageError: It is ``auto``, which stands for several.
    """
    if provider.lower() == "auto":
        raise UsageError("Times are of one provider, and auto is several.", "Name one, as in cpu.")
    found = resolve([provider])
    if found.missing:
        raise ProviderError(
            f"The provider {provider!r} cannot be used: {found.missing[0].reason}.",
            "Or time on --provider cpu.",
        )
    return found.rows[0].ort_name


def open_runner(model: Path | bytes, provider: str, threads: int, label: str = "") -> Runner:
    """Open ``model`` with all of ONNX Runtime's optimisations.

    Args:
        model: A path, or a serialised model.
        provider: One that works here; see :func:`full_name`.
        threads: Threads inside an op; ops run one after another.
        label: How to name the model in messages; the path by default.

    Raises:
        LoadError: It is no model that ONNX Runtime runs.
        ProviderError: The runtime fell back to another provider.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    label = label or ("the model" if isinstance(model, bytes) else str(model))
    full = ort_name(provider)
    chosen = list(dict.fromkeys([full, "CPUExecutionProvider"]))
    given = model if isinstance(model, bytes) else str(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = onnxruntime.InferenceSession(given, _options(threads), providers=chosen)
    except Exception as error:
        raise LoadError(
            f"ONNX Runtime does not open {label}: {_one_line(error)}.",
            "Give an ONNX file that is whole and valid.",
        ) from error
    used = session.get_providers()[0]
    if used != full:
        raise ProviderError(
            f"{label} fell back silently from {full} to {used}.",
            "Check that the provider's libraries load, or time on --provider cpu.",
        )
    return Runner(session, label)


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A pool that spins after its own run takes the processor from the contestant that is next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:400]
