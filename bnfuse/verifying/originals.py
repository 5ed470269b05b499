"""The original under each row: an ONNX model in sessions, or a module in its own framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bnfuse.verifying.compare import flattened
from bnfuse.verifying.floats import is_float
from bnfuse.verifying.providers import Row
from bnfuse.verifying.runtime import RunError, Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.verifying.models import OnnxSource
    from bnfuse.verifying.torch_model import TorchModel

__all__ = ["CPU_ROWS", "ModuleOriginal", "OnnxOriginal", "Original", "nudged"]

Array = np.ndarray[Any, Any]
Runs = dict[str, list[Any]]

CPU_ROWS = tuple(Row("cpu", "CPUExecutionProvider", level) for level in ("disabled", "all"))
"""The configurations whose runs are honest ones of the original, whichever row is judged."""


class Original(Protocol):
    """What is true by definition."""

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the outputs of every honest run by key, the principal one first.

        Raises:
            RunError: The original refuses the inputs.
        """
        ...

    def honest(self, runs: Runs, row: Row) -> list[list[Any]]:
        """Return the runs that measure the noise of ``row``, its own first."""
        ...

    def absence(self, row: Row) -> str:
        """Return why the original does not run on ``row``, or the empty string."""
        ...


class OnnxOriginal:
    """An ONNX model, opened once per row."""

    def __init__(self, source: OnnxSource, rows: Sequence[Row]) -> None:
        self._sessions: dict[str, Session] = {}
        self._absent: dict[str, str] = {}
        model = source.session_input()
        for row in (*CPU_ROWS, *rows):
            if _key(row) in self._sessions or _key(row) in self._absent:
                continue
            try:
                self._sessions[_key(row)] = Session(model, row)
            except RunError as error:
                self._absent[_key(row)] = str(error)

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return one run per row that works."""
        runs: Runs = {}
        failure = next(iter(self._absent.values()), "no session opened")
        for key, session in self._sessions.items():
            try:
                runs[key] = flattened(session.output_names, session.run(feeds))[1]
            except RunError as error:
                failure = str(error)
        if not runs:
            raise RunError(failure)
        return runs

    def honest(self, runs: Runs, row: Row) -> list[list[Any]]:
        """Return the row's own run, and those of the CPU."""
        keys = dict.fromkeys([_key(row), *(_key(item) for item in CPU_ROWS)])
        return [runs[key] for key in keys if key in runs]

    def absence(self, row: Row) -> str:
        """Return why no session of the original opened on ``row``."""
        return self._absent.get(_key(row), "")


class ModuleOriginal:
    """A module: eager runs with different kernels."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the eager run, and one without oneDNN's kernels."""
        return {
            "eager": self._model.run(feeds),
            "eager without oneDNN": self._model.run(feeds, onednn=False),
        }

    def honest(self, runs: Runs, row: Row) -> list[list[Any]]:
        """Return all eager runs."""
        del row
        return list(runs.values())

    def absence(self, row: Row) -> str:
        """Return the empty string: a module runs in its own framework."""
        del row
        return ""


def nudged(feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Return the inputs with each float moved to a neighbouring number, up or down at random."""
    rng = np.random.default_rng(seed)
    moved = {}
    for name, value in feeds.items():
        if is_float(value.dtype):
            towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)
            moved[name] = np.nextafter(value, towards.astype(value.dtype))
        else:
            moved[name] = value
    return moved


def _key(row: Row) -> str:
    return f"{row.provider} {row.optimization} {row.mode}"
