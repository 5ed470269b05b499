"""The original under each row: an ONNX model in sessions, or a module in its own framework."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.runtime.floats import is_float
from bnfuse.verifying.runtime.row import Row
from bnfuse.verifying.runtime.sessions import RunError, Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.truth.choices import Choice
    from bnfuse.verifying.truth.torch_model import TorchModel

__all__ = [
    "CPU_ROWS",
    "ExposedModel",
    "ExposedSession",
    "Exposure",
    "ModuleOriginal",
    "OnnxOriginal",
    "Original",
    "Outputs",
    "Runs",
    "digest",
    "flattened",
    "nudged",
]

Array = np.ndarray[Any, Any]
Runs = dict[str, list[Any]]

CPU_ROWS = tuple(Row("cpu", "CPUExecutionProvider", level) for level in ("disabled", "all"))
"""The configurations whose runs are honest ones of the original, whichever row is judged."""


class Original(ABC):
    """What is true by definition. Runs on chosen inputs are kept until they are asked for again.

    Whether it accepts a size is found out by a run that the comparison wants as well.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, Runs] = {}

    def keep(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the runs on ``feeds`` and keep them.

        Raises:
            RunError: The original refuses the inputs.
        """
        key = digest(feeds)
        if key not in self._kept:
            self._kept[key] = self._run(feeds)
        return self._kept[key]

    def run(self, feeds: Mapping[str, Array]) -> Runs:
        """Return the outputs of every honest run by key, the principal one first.

        Raises:
            RunError: The original refuses the inputs.
        """
        kept = self._kept.pop(digest(feeds), None) if self._kept else None
        return self._run(feeds) if kept is None else kept

    def forget(self) -> None:
        """Forget the runs that were kept."""
        self._kept.clear()

    @abstractmethod
    def once(self, feeds: Mapping[str, Array]) -> Sequence[Any]:
        """Return the outputs of the principal run alone, made anew.

        Raises:
            RunError: The original refuses the inputs.
        """

    @abstractmethod
    def _run(self, feeds: Mapping[str, Array]) -> Runs: ...

    def honest(self, runs: Runs, row: Row) -> list[list[Any]]:  # noqa: ARG002
        """Return the runs that measure the noise of ``row``, its own first."""
        return list(runs.values())

    def absence(self, row: Row) -> str:  # noqa: ARG002
        """Return why the original does not run on ``row``, or the empty string."""
        return ""


class Outputs(list[Any]):
    """A run's outputs in order.

    Attributes:
        names: What they are called, one name for each tensor of a sequence.
        taken: What the run's decisions gave, where they were asked for.
    """

    names: Sequence[str] = ()
    taken: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Exposure:
    """What runs of a model tell beside its outputs, all by name.

    Attributes:
        decisions: What its decisions gave.
        scores: Floats behind decisions, which are judged as outputs are. Only runs without
            optimisation tell them: others would not fuse what makes them.
    """

    decisions: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()


class ExposedModel:
    """A model to be opened on several rows.

    Attributes:
        source: The model.
        exposure: What its runs tell.
    """

    def __init__(self, source: OnnxSource, exposure: Exposure) -> None:
        self.source = source
        self.exposure = exposure
        self._runnable: dict[tuple[str, ...], str | bytes] = {}

    def open(self, row: Row) -> ExposedSession:
        """Return a session.

        Raises:
            RunError: The model does not open.
        """
        plain = row.ort_name == "CPUExecutionProvider" and row.optimization == "disabled"
        exposure = self.exposure if plain else Exposure(self.exposure.decisions)
        try:
            return ExposedSession(self, row, exposure)
        except RunError:
            if exposure == Exposure():
                raise
            return ExposedSession(self, row, Exposure())

    def runnable(self, names: tuple[str, ...]) -> str | bytes:
        """Return the model with ``names`` as outputs in addition to its own."""
        if names not in self._runnable:
            own = [port.name for port in self.source.signature.outputs]
            hidden = dict.fromkeys(name for name in names if name not in own)
            self._runnable[names] = (
                self.source.exposing([*own, *hidden]) if hidden else self.source.session_input()
            )
        return self._runnable[names]


class ExposedSession:
    """One model on one row.

    Attributes:
        session: The session.
    """

    def __init__(self, model: ExposedModel, row: Row, exposure: Exposure) -> None:
        self.session = Session(model.runnable((*exposure.decisions, *exposure.scores)), row)
        self._names = [*(port.name for port in model.source.signature.outputs), *exposure.scores]
        self._decisions = exposure.decisions

    def run(self, feeds: Mapping[str, Array]) -> Outputs:
        """Return the outputs, sequences spelt out, and after them the scores.

        Raises:
            RunError: The model fails on these inputs.
        """
        values = dict(zip(self.session.output_names, self.session.run(feeds), strict=True))
        names, tensors = flattened(self._names, [values[name] for name in self._names])
        outputs = Outputs(tensors)
        outputs.names = names
        outputs.taken = tuple(values[name] for name in self._decisions)
        return outputs


def digest(feeds: Mapping[str, Array]) -> bytes:
    """Return what tells inputs from all others."""
    total = hashlib.blake2b()
    for name, value in feeds.items():
        total.update(f"{name} {value.dtype} {value.shape} ".encode())
        total.update(str(value.tolist()).encode() if value.dtype == object else value.tobytes())
    return total.digest()


class OnnxOriginal(Original):
    """An ONNX model, opened once per row."""

    def __init__(
        self, source: OnnxSource, rows: Sequence[Row], exposure: Exposure | None = None
    ) -> None:
        super().__init__()
        self._sessions: dict[str, ExposedSession] = {}
        self._absent: dict[str, str] = {}
        model = ExposedModel(source, exposure or Exposure())
        for row in (*CPU_ROWS, *rows):
            if _key(row) in self._sessions or _key(row) in self._absent:
                continue
            try:
                self._sessions[_key(row)] = model.open(row)
            except RunError as error:
                self._absent[_key(row)] = str(error)

    def once(self, feeds: Mapping[str, Array]) -> Sequence[Any]:
        """Return the outputs of the first session that takes the inputs."""
        return next(self._working(feeds))[1]

    def _run(self, feeds: Mapping[str, Array]) -> Runs:
        return dict(self._working(feeds))

    def _working(self, feeds: Mapping[str, Array]) -> Iterator[tuple[str, Outputs]]:
        """Yield one run per row that works; raise if none does."""
        failure = next(iter(self._absent.values()), "no session opened")
        working = False
        for key, session in self._sessions.items():
            try:
                outputs = session.run(feeds)
            except RunError as error:
                failure = str(error)
                continue
            working = True
            yield key, outputs
        if not working:
            raise RunError(failure)

    def honest(self, runs: Runs, row: Row) -> list[list[Any]]:
        """Return the row's own run, and those of the CPU."""
        keys = dict.fromkeys([_key(row), *(_key(item) for item in CPU_ROWS)])
        return [runs[key] for key in keys if key in runs]

    def absence(self, row: Row) -> str:
        """Return why no session of the original opened on ``row``."""
        return self._absent.get(_key(row), "")


class ModuleOriginal(Original):
    """A module: eager runs with different kernels.

    Attributes:
        choices: Its decisions that a candidate takes too.
    """

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self._model = model
        self.choices: Sequence[Choice] = ()

    def _run(self, feeds: Mapping[str, Array]) -> Runs:
        return {
            "eager": self._eager(feeds, True),
            "eager without oneDNN": self._eager(feeds, False),
        }

    def rough(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the decisions of an eager run read and gave, by name."""
        from bnfuse.verifying.truth.torch_decisions import DecisionMode

        mode = DecisionMode()
        self._model.run(feeds, True, mode)
        values: dict[str, Array] = {}
        for position, item in enumerate(mode.found):
            values[str(position)] = item.taken
            values.update(zip(item.decision.inputs, item.read, strict=True))
        return values

    def _eager(self, feeds: Mapping[str, Array], onednn: bool) -> list[Any]:
        if not self.choices:
            return self._model.run(feeds, onednn)
        from bnfuse.verifying.truth.torch_decisions import DecisionMode

        mode = DecisionMode()
        outputs = Outputs(self._model.run(feeds, onednn, mode))
        if len(mode.found) <= max(int(choice.name) for choice in self.choices):
            raise RunError("the module decides otherwise on these inputs")
        outputs.taken = tuple(mode.found[int(choice.name)].taken for choice in self.choices)
        scores = [mode.found[int(choice.name)].read[0] for choice in self.choices if choice.scores]
        outputs.extend(scores)
        return outputs

    def once(self, feeds: Mapping[str, Array]) -> Sequence[Any]:
        """Return the outputs of the eager run."""
        return self._model.run(feeds)


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


def flattened(names: Sequence[str], values: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Return outputs with sequences spelt out, one name and array per tensor."""
    flat_names: list[str] = []
    flat_values: list[Any] = []
    for position, value in enumerate(values):
        name = names[position] if position < len(names) else str(position)
        if isinstance(value, list):
            flat_names += [f"{name}[{i}]" for i in range(len(value))]
            flat_values += value
        else:
            flat_names.append(name)
            flat_values.append(value)
    return flat_names, flat_values
