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

# Another export of a module is no worse than this many times the module itself, or it is wrong.
_BASELINE_TRUST = 8.0


class Original(Protocol):
    """What is true by definition."""

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the outputs of every honest run by key, the principal one first.

        Raises:
            RunError: The original refuses the inputs.
        """
        ...

    def honest(self, runs: Runs, row: Row, truth: Sequence[Array]) -> list[list[Any]]:
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

    def honest(self, runs: Runs, row: Row, truth: Sequence[Array]) -> list[list[Any]]:
        """Return the row's own run, and those of the CPU."""
        del truth
        keys = dict.fromkeys([_key(row), *(_key(item) for item in CPU_ROWS)])
        return [runs[key] for key in keys if key in runs]

    def absence(self, row: Row) -> str:
        """Return why no session of the original opened on ``row``."""
        return self._absent.get(_key(row), "")


class ModuleOriginal:
    """A module: eager runs with different kernels, and an unfolded export where one is given."""

    def __init__(self, model: TorchModel, baseline: OnnxSource | None = None) -> None:
        self._model = model
        self._baseline: dict[str, Session] = {}
        if baseline is not None:
            self._baseline = {
                f"baseline {row.optimization}": Session(baseline.session_input(), row)
                for row in CPU_ROWS
            }

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the eager run, one without oneDNN's kernels, and the baseline's."""
        runs: Runs = {"eager": self._model.run(feeds)}
        runs["eager without oneDNN"] = self._model.run(feeds, onednn=False)
        for key, session in self._baseline.items():
            try:
                runs[key] = flattened(session.output_names, session.run(feeds))[1]
            except RunError:
                continue
        return runs

    def honest(self, runs: Runs, row: Row, truth: Sequence[Array]) -> list[list[Any]]:
        """Return all eager runs, and the baseline's where they are about as near to truth."""
        del row
        trusted = [run for key, run in runs.items() if not key.startswith("baseline")]
        bound = [_BASELINE_TRUST * error for error in _errors(runs["eager"], truth)]
        for key, run in runs.items():
            errors = _errors(run, truth) if key.startswith("baseline") else None
            if errors and len(errors) == len(bound):
                near = all(e <= max(b, 1e-5) for e, b in zip(errors, bound, strict=True))
                same = all(a.shape == b.shape for a, b in zip(run, runs["eager"], strict=True))
                if near and same:
                    trusted.append(run)
        return trusted

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


def _errors(run: Sequence[Any], truth: Sequence[Array]) -> list[float]:
    """Return each output's relative rms distance from truth; infinite where it does not compare."""
    errors = []
    for value, exact in zip(run, truth, strict=False):
        if not is_float(value.dtype):
            errors.append(0.0)
        elif value.shape != exact.shape:
            errors.append(np.inf)
        else:
            wide = np.asarray(value, np.float64)
            finite = np.isfinite(wide) & np.isfinite(exact)
            size = float(np.sqrt(np.sum(exact[finite] ** 2)))
            gap = float(np.sqrt(np.sum((wide[finite] - exact[finite]) ** 2)))
            errors.append(gap / size if size else gap)
    return errors
