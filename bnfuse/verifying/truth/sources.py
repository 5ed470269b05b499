"""Where truth comes from: the original itself, run in float64, within a budget of seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from bnfuse.verifying.runtime.calibration import has_absolute
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.truth.double import BudgetSpentError, DoubleEvaluator, narrow_ops, op_types
from bnfuse.verifying.truth.double_ops import promoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import onnx

    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.truth.branches import BranchCounter
    from bnfuse.verifying.truth.jitter import Jitter
    from bnfuse.verifying.truth.slopes import Tape
    from bnfuse.verifying.truth.torch_decisions import DecisionMode, Taken
    from bnfuse.verifying.truth.torch_model import TorchModel

__all__ = ["ModuleTruth", "NoTruthError", "OnnxTruth", "TruthSource"]

Array = np.ndarray[Any, Any]
Visitor: TypeAlias = "Callable[[onnx.NodeProto, Sequence[Any], Sequence[Any]], None]"


class NoTruthError(Exception):
    """Truth cannot be computed; the message is the reason."""


class TruthSource(Protocol):
    """Something that computes the original's outputs in float64.

    Attributes:
        kind: What to call it in results.
        seconds: Spent so far.
        detail: What had to be lifted or replaced.
        approximates: Whether it has an op that errs by more than a part of its result, in so far
            as it has run.
    """

    kind: str
    seconds: float
    detail: str

    @property
    def approximates(self) -> bool:
        """See above."""
        ...

    def outputs(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the outputs in order.

        Raises:
            NoTruthError: They cannot be had.
        """
        ...

    def simulated(
        self,
        feeds: Mapping[str, Array],
        jitter: Jitter,
        substitutes: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Return the outputs of one run with simulated rounding.

        Args:
            feeds: The inputs.
            jitter: What errs.
            substitutes: Values of a graph to go on with in place of what its nodes give.

        Raises:
            NoTruthError: They cannot be had.
        """
        ...


class OnnxTruth:
    """``onnx.reference`` in float64.

    Attributes:
        source: The model.
        extra: Values that are told after the outputs.
    """

    kind = "onnx.reference in float64"

    def __init__(
        self, source: OnnxSource, budget: float | None, branches: BranchCounter | None
    ) -> None:
        self.seconds = 0.0
        self.detail = ""
        self.source = source
        self.extra: tuple[str, ...] = ()
        self._budget = budget
        self._branches = branches
        self._evaluator: DoubleEvaluator | None = None

    @property
    def approximates(self) -> bool:
        """Whether an op of the graph errs by more than a part of its result."""
        return any(has_absolute(op) for op in op_types(self.source.graph))

    def outputs(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the graph's outputs in order.

        Raises:
            NoTruthError: An op is not known to the reference or not in double, or the budget is
                spent.
        """
        return self.values(None, feeds, self._branches.visit if self._branches else None)

    def simulated(
        self,
        feeds: Mapping[str, Array],
        jitter: Jitter,
        substitutes: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Return the outputs of one run with simulated rounding."""
        return self.values(None, feeds, jitter=jitter, substitutes=substitutes)

    def watched(
        self,
        feeds: Mapping[str, Array],
        names: Iterable[str],
        substitutes: Mapping[str, Array],
        count: bool,
        jitter: Jitter | None = None,
    ) -> tuple[list[Array], dict[str, list[Array]], dict[str, Array]]:
        """Return the outputs, and what the nodes that make ``names`` read and made themselves.

        Args:
            feeds: The inputs.
            names: Values of the main graph.
            substitutes: What to go on with in place of some of them.
            count: Whether the sides of branches are counted.
            jitter: What errs, if anything.
        """
        wanted = set(names)
        read: dict[str, list[Array]] = {}
        made: dict[str, Array] = {}

        def note(node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            if count and self._branches is not None:
                self._branches.visit(node, inputs, outputs)
            for name, value in zip(node.output, outputs, strict=False):
                if name in wanted:
                    read[name] = [item for item in inputs if item is not None]
                    made[name] = value

        outputs = self.values(None, feeds, note, jitter, substitutes)
        return outputs, read, made

    def taped(self, feeds: Mapping[str, Array], tape: Tape, visitor: Visitor) -> list[Array]:
        """Return the outputs, and have each node noted on ``tape`` and told to ``visitor``.

        Raises:
            NoTruthError: They cannot be had.
        """
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
        start = time.monotonic()
        try:
            evaluator = self._open()
            evaluator.deadline = (
                None if self._budget is None else (start + self._budget - self.seconds)
            )
            evaluator.jitter = jitter
            evaluator.visitor = visitor
            evaluator.substitutes = dict(substitutes or {})
            with np.errstate(all="ignore"):
                return list(evaluator.run(names or self._names(), feeds))
        except BudgetSpentError:
            raise NoTruthError(f"the budget of {self._budget:g} s for truth is spent") from None
        except NoTruthError:
            raise
        except Exception as error:
            raise NoTruthError(f"onnx.reference cannot run it: {_short(error)}") from error
        finally:
            self.seconds += time.monotonic() - start

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


class ModuleTruth:
    """The module's own code in float64."""

    kind = "module in float64"

    def __init__(self, model: TorchModel, budget: float | None, branches: BranchCounter) -> None:
        self.seconds = 0.0
        self.detail = ""
        self._model = model
        self._budget = budget
        self._branches = branches
        self.approximates = False
        self.extra: tuple[str, ...] = ()

    def outputs(self, feeds: Mapping[str, Array], mode: DecisionMode | None = None) -> list[Array]:
        """Return the module's outputs in order; ``mode`` records its decisions.

        Raises:
            NoTruthError: The module does not run in float64, draws random numbers, or the budget
                is spent.
        """
        outputs, pinned = self._run(feeds, self._branches, None, mode)
        self.approximates = any(has_absolute(op) for op in self._model.ops)
        if pinned:
            self.detail = f"its code pins a narrower float, which was lifted: {_some(pinned)}"
        return outputs

    def simulated(
        self,
        feeds: Mapping[str, Array],
        jitter: Jitter,
        substitutes: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Return the outputs of one run with simulated rounding."""
        if not substitutes:
            return self._run(feeds, None, jitter)[0]
        mode = self._mode(substitutes)
        outputs = self._run(feeds, None, jitter, mode)[0]
        return [*outputs, *self._scores(mode)]

    def watched(
        self,
        feeds: Mapping[str, Array],
        names: Iterable[str],
        substitutes: Mapping[str, Array],
        count: bool,
        jitter: Jitter | None = None,
    ) -> tuple[list[Array], dict[str, list[Array]], dict[str, Array]]:
        """Return the outputs and the scores wanted, and what decisions read and made themselves.

        Decisions are named by their position in the code. See :meth:`OnnxTruth.watched`.
        """
        mode = self._mode(substitutes)
        outputs = self.outputs(feeds, mode) if count else self._run(feeds, None, jitter, mode)[0]
        try:
            found = {name: mode.found[int(name)] for name in names}
        except IndexError:
            raise NoTruthError("the module decides otherwise on other inputs") from None
        read = {name: [*map(promoted, taken.read)] for name, taken in found.items()}
        return (
            [*outputs, *self._scores(mode)],
            read,
            {name: taken.taken for name, taken in found.items()},
        )

    def decisions(self, feeds: Mapping[str, Array]) -> list[Taken]:
        """Return what the module decides by floats, in float64."""
        mode = self._mode({})
        self._run(feeds, None, None, mode)
        return mode.found

    def _scores(self, mode: DecisionMode) -> list[Array]:
        return [promoted(mode.found[int(name.split(".")[0])].read[0]) for name in self.extra]

    def _mode(self, substitutes: Mapping[str, Array]) -> DecisionMode:
        from bnfuse.verifying.truth.torch_decisions import DecisionMode

        return DecisionMode({int(name): value for name, value in substitutes.items()})

    def _run(
        self,
        feeds: Mapping[str, Array],
        branches: BranchCounter | None,
        jitter: Jitter | None,
        mode: DecisionMode | None = None,
    ) -> tuple[list[Array], set[str]]:
        from bnfuse.verifying.truth.torch_double import RandomOpError

        start = time.monotonic()
        deadline = None if self._budget is None else start + self._budget - self.seconds
        try:
            return self._model.run_double(feeds, deadline, branches, jitter, mode)
        except BudgetSpentError:
            raise NoTruthError(f"the budget of {self._budget:g} s for truth is spent") from None
        except RandomOpError as error:
            raise NoTruthError(f"the module draws random numbers ({error})") from None
        except RunError as error:
            raise NoTruthError(f"the module does not run in float64: {error}") from None
        finally:
            self.seconds += time.monotonic() - start


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (" and more" if len(listed) > 3 else "")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
