"""Where truth comes from: the original itself, run in float64, within a budget of seconds."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bnfuse.verifying.runtime.calibration import has_absolute
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.truth.branches import BranchCounter
from bnfuse.verifying.truth.double import (
    BudgetSpentError,
    DoubleEvaluator,
    NoTruthError,
    narrow_ops,
    op_types,
)
from bnfuse.verifying.truth.double_ops import promoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import onnx

    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.truth.jitter import Jitter
    from bnfuse.verifying.truth.slopes import Tape
    from bnfuse.verifying.truth.torch_decisions import DecisionMode, Taken
    from bnfuse.verifying.truth.torch_model import TorchModel

__all__ = ["ModuleTruth", "NoTruthError", "OnnxTruth", "TruthSource", "Watched"]

Array = np.ndarray[Any, Any]
Visitor: TypeAlias = "Callable[[onnx.NodeProto, Sequence[Any], Sequence[Any]], None]"
Watched: TypeAlias = "tuple[list[Array], dict[str, list[Array]], dict[str, Array]]"
"""The outputs, and by name what some decisions read and what they gave."""


class TruthSource(ABC):
    """Something that computes the original's outputs in float64, within a budget of seconds.

    All runs raise :class:`NoTruthError` where they come to nothing.

    Attributes:
        kind: What to call it in results.
        seconds: Spent so far.
        detail: What had to be lifted or replaced.
        approximates: Whether it has an op that errs by more than a part of its result, in so far
            as it has run.
        branches: The sides that runs counted.
        extra: Scores behind decisions that are told after the outputs, by name.
    """

    kind: str
    _refusal: str

    def __init__(self, budget: float | None) -> None:
        self.seconds = 0.0
        self.detail = ""
        self.approximates = False
        self.extra: tuple[str, ...] = ()
        self.branches = BranchCounter()
        self._budget = budget

    def outputs(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the outputs in order, and count the sides of branches."""
        return self.watched(feeds, (), count=True)[0]

    @abstractmethod
    def watched(
        self,
        feeds: Mapping[str, Array],
        names: Iterable[str],
        substitutes: Mapping[str, Array] | None = None,
        count: bool = False,
        jitter: Jitter | None = None,
    ) -> Watched:
        """Return the outputs, and what the decisions ``names`` read and gave themselves.

        Args:
            feeds: The inputs.
            names: Values of the main graph, or positions of a module's decisions in its code.
            substitutes: What to go on with in place of some of them.
            count: Whether the sides of branches are counted.
            jitter: What errs, if anything.
        """

    @contextmanager
    def _granted(self) -> Iterator[float | None]:
        """Yield when a run has to be over, and note how long it took or why it came to nothing."""
        start = time.monotonic()
        try:
            yield None if self._budget is None else start + self._budget - self.seconds
        except BudgetSpentError:
            spent = f"the budget of {self._budget:g} s for truth is spent (--truth-budget)"
            raise NoTruthError(spent) from None
        except NoTruthError:
            raise
        except Exception as error:
            told = str(error) if isinstance(error, RunError) else _short(error)
            raise NoTruthError(f"{self._refusal}: {told}") from error
        finally:
            self.seconds += time.monotonic() - start


class OnnxTruth(TruthSource):
    """``onnx.reference`` in float64.

    Attributes:
        source: The model.
    """

    kind = "onnx.reference in float64"
    _refusal = "onnx.reference cannot run it"

    def __init__(self, source: OnnxSource, budget: float | None = None) -> None:
        super().__init__(budget)
        self.source = source
        self.approximates = any(has_absolute(op) for op in op_types(source.graph))
        self._evaluator: DoubleEvaluator | None = None

    def watched(
        self,
        feeds: Mapping[str, Array],
        names: Iterable[str],
        substitutes: Mapping[str, Array] | None = None,
        count: bool = False,
        jitter: Jitter | None = None,
    ) -> Watched:
        """Return the outputs, and what the nodes that make ``names`` read and made themselves."""
        wanted = set(names)
        read: dict[str, list[Array]] = {}
        made: dict[str, Array] = {}

        def note(node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            if count:
                self.branches.visit(node, inputs, outputs)
            for name, value in zip(node.output, outputs, strict=False):
                if name in wanted:
                    read[name] = [item for item in inputs if item is not None]
                    made[name] = value

        outputs = self.values(None, feeds, note, jitter, substitutes)
        return outputs, read, made

    def taped(self, feeds: Mapping[str, Array], tape: Tape, visitor: Visitor) -> list[Array]:
        """Return the outputs, and have each node noted on ``tape`` and told to ``visitor``."""
        evaluator = self._open()

        def note(node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            tape.note(evaluator.running, node, inputs, outputs)
            visitor(node, inputs, outputs)

        return self.values(None, feeds, visitor=note)

    def values(
        self,
        names: Sequence[str] | None,
        feeds: Mapping[str, Array],
        visitor: Visitor | None = None,
        jitter: Jitter | None = None,
        substitutes: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Return named values, intermediate ones too, or the outputs."""
        with self._granted() as deadline, np.errstate(all="ignore"):
            evaluator = self._open()
            evaluator.deadline = deadline
            evaluator.jitter = jitter
            evaluator.visitor = visitor
            evaluator.substitutes = dict(substitutes or {})
            return list(evaluator.run(names or self._names(), feeds))

    def _names(self) -> list[str]:
        return [*(port.name for port in self.source.signature.outputs), *self.extra]

    def _open(self) -> DoubleEvaluator:
        if self._evaluator is None:
            proto = self.source.proto()
            narrow = narrow_ops(proto)
            if narrow:
                raise NoTruthError(f"onnx.reference computes {', '.join(narrow)} in float32")
            self._evaluator = DoubleEvaluator(proto)
        return self._evaluator


class ModuleTruth(TruthSource):
    """The module's own code in float64."""

    kind = "module in float64"
    _refusal = "the module does not run in float64"

    def __init__(self, model: TorchModel, budget: float | None) -> None:
        super().__init__(budget)
        self._model = model

    def watched(
        self,
        feeds: Mapping[str, Array],
        names: Iterable[str],
        substitutes: Mapping[str, Array] | None = None,
        count: bool = False,
        jitter: Jitter | None = None,
    ) -> Watched:
        """Return the outputs and the scores wanted, and what decisions read and gave themselves."""
        mode = self._mode(substitutes or {})
        outputs = self._run(feeds, jitter, mode, count)
        try:
            found = {name: mode.found[int(name)] for name in names}
        except IndexError:
            raise NoTruthError("the module decides otherwise on other inputs") from None
        read = {name: [*map(promoted, taken.read)] for name, taken in found.items()}
        made = {name: taken.taken for name, taken in found.items()}
        return [*outputs, *self._scores(mode)], read, made

    def decisions(self, feeds: Mapping[str, Array]) -> list[Taken]:
        """Return what the module decides by floats, in float64."""
        mode = self._mode({})
        self._run(feeds, mode=mode)
        return mode.found

    def _scores(self, mode: DecisionMode) -> list[Array]:
        return [promoted(mode.found[int(name.split(".")[0])].read[0]) for name in self.extra]

    def _mode(self, substitutes: Mapping[str, Array]) -> DecisionMode:
        from bnfuse.verifying.truth.torch_decisions import DecisionMode

        return DecisionMode({int(name): value for name, value in substitutes.items()})

    def _run(
        self,
        feeds: Mapping[str, Array],
        jitter: Jitter | None = None,
        mode: DecisionMode | None = None,
        count: bool = False,
    ) -> list[Array]:
        with self._granted() as deadline:
            outputs, pinned = self._model.run_double(
                feeds, deadline, self.branches if count else None, jitter, mode
            )
        if count:
            self.approximates = any(has_absolute(op) for op in self._model.ops)
            if pinned:
                self.detail = f"its code pins a narrower float, which was lifted: {_some(pinned)}"
        return outputs


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (" and more" if len(listed) > 3 else "")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
