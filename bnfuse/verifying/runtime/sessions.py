"""ONNX Runtime sessions that say where they ran, keep quiet and leave other threads alone."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from bnfuse.verifying.runtime.row import Row

__all__ = ["PLACE", "RunError", "Session", "available_providers", "known_providers", "unproven"]

PLACE = "session.model_external_initializers_file_folder_path"
"""The session option that says where a model given as bytes lies."""
_HEAVY = ("Conv", "MatMul", "Gemm")
_MAX_THREADS = 4
_OUT_OF_MEMORY = ("Failed to allocate memory", "out of memory", "bad_alloc", "bad allocation")


class RunError(Exception):
    """A model does not open or does not run; the message is the runtime's, on one line."""

    @property
    def is_of_memory(self) -> bool:
        """Whether it is the machine that lacks the memory to run it.

        Before the status the runtime tells the node's name, which may say anything.
        """
        status = str(self).rpartition("Status Message:")[2]
        return any(said in status for said in _OUT_OF_MEMORY)


def available_providers() -> list[str]:
    """Return the providers that this build of ONNX Runtime has, working or not."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def known_providers() -> list[str]:
    """Return the providers that ONNX Runtime has in any build."""
    import onnxruntime

    return list(dict.fromkeys([*onnxruntime.get_all_providers(), *available_providers()]))


class Session:
    """A model opened on one provider at one optimisation level.

    Attributes:
        providers: What the session really uses, the preferred first.
        input_names: In order.
        output_names: In order.
    """

    def __init__(self, model: str | bytes, row: Row) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        self._row = row
        self._folder: TemporaryDirectory[str] | None = None
        self._counts: Counter[tuple[str, str]] | None = None
        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = (
            levels.ORT_DISABLE_ALL if row.optimization == "disabled" else levels.ORT_ENABLE_ALL
        )
        options.intra_op_num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        if isinstance(model, bytes):
            # Before 1.29 the runtime asks for it where a body reads a constant from outside.
            options.add_session_config_entry(PLACE, os.curdir)
        options.use_deterministic_compute = row.mode == "strict"
        if row.ort_name != "CPUExecutionProvider":
            self._record_placement(options)
        chosen: list[Any] = [(row.ort_name, dict(row.options))]
        if row.ort_name != "CPUExecutionProvider":
            chosen.append("CPUExecutionProvider")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._session = onnxruntime.InferenceSession(model, options, providers=chosen)
        except Exception as error:
            raise RunError(_one_line(error)) from error
        self.providers: list[str] = list(self._session.get_providers())
        self.input_names = [item.name for item in self._session.get_inputs()]
        self.output_names = [item.name for item in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
        """Return the outputs in order.

        Raises:
            RunError: The runtime refused the inputs or failed on them.
        """
        try:
            outputs = self._session.run(None, {name: feeds[name] for name in self.input_names})
        except KeyError as error:
            raise RunError(f"no value for input {error}") from error
        except Exception as error:
            raise RunError(_one_line(error)) from error
        return list(outputs)

    def placement(self) -> Counter[tuple[str, str]]:
        """Return how many nodes of each op ran on each provider: ``(op, provider): count``.

        Empty where this release of ONNX Runtime tells neither way; call it after a run.
        """
        if self._counts is None:
            self._counts = self._assigned() or self._profiled()
        return self._counts

    def _record_placement(self, options: Any) -> None:
        import onnxruntime

        if hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        else:
            self._folder = TemporaryDirectory(prefix="bnfuse-profile-")
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(self._folder.name, "run"))

    def _assigned(self) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        if self._folder is not None or self._row.ort_name == "CPUExecutionProvider":
            return counts
        try:
            parts = self._session.get_provider_graph_assignment_info()
        except Exception:
            return counts
        for part in parts:
            counts.update((node.op_type, part.ep_name) for node in part.get_nodes())
        return counts

    def _profiled(self) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        if self._folder is None:
            return counts
        events = json.loads(Path(self._session.end_profiling()).read_text())
        seen = set()
        for event in events:
            details = event.get("args", {})
            key = (event.get("name"), details.get("op_name"), details.get("provider"))
            if event.get("cat") == "Node" and details.get("provider") and key not in seen:
                seen.add(key)
                counts[details["op_name"], details["provider"]] += 1
        return counts


def unproven(session: Session, row: Row) -> tuple[str, str]:
    """Return why it is not proven that ``row``'s provider did the work (or ""), and where it ran.

    Shape arithmetic on the CPU is normal; a Conv, MatMul or Gemm there is not.
    """
    if row.ort_name == "CPUExecutionProvider":
        return "", ""
    if session.providers[:1] != [row.ort_name]:
        return (
            f"{row.ort_name} fell back silently to {session.providers[0]}; check that its "
            "libraries load",
            "",
        )
    counts = session.placement()
    heavy = {key: count for key, count in counts.items() if any(part in key[0] for part in _HEAVY)}
    told = ", ".join(
        f"{op}: {count} {provider.removesuffix('ExecutionProvider').lower()}"
        for (op, provider), count in sorted(heavy.items())
    )
    elsewhere = sorted({f"{op} on {p}" for op, p in heavy if p != row.ort_name})
    if elsewhere:
        return (
            f"part of the work ran elsewhere: {', '.join(elsewhere)}; see which ops and types "
            f"{row.ort_name} supports",
            told,
        )
    if not counts:
        return "this release of ONNX Runtime does not say where nodes ran; use 1.24 or newer", told
    return "", told


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
