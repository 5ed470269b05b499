"""Break each rule and each row of the engine in turn: no wrong fold of it is proved equal.

The checker has its own laws. A rule that is broken in the engine must not be able to make a wrong
fold and its proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import run
from graphs_of_rows import graphs_of
from mutation import Mutation
from mutation_detector import Case, cases
from mutation_list import MUTATIONS
from nightly import NIGHTLY
from reach import Reach
from test_table_cells import broken, loosened

from bnfuse.folding import engine, fold
from bnfuse.folding.rules import rules
from bnfuse.folding.table import TABLE
from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.lowering import lower
from bnfuse.proving import prove

if TYPE_CHECKING:
    from bnfuse.folding.rules.row import Row

_ENOUGH = 4
"""Wrong folds of one mistake that are tried."""


@dataclass(frozen=True)
class Right:
    """A fold with nothing wrong."""

    case: Case
    fold: Reach[onnx.ModelProto]

    @classmethod
    def of(cls, case: Case) -> Right:
        return cls(case, Reach.of(partial(folded, case.model)))


@pytest.fixture(scope="module")
def right() -> list[Right]:
    return list(map(Right.of, cases()))


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The fold, whatever is wrong with it."""
    graph = ir.serde.deserialize_model(model)
    interface, _ = prepare(graph)
    fold(lift(graph))
    lower(graph)
    interface.restore(graph)
    return ir.serde.serialize_model(graph)


def wrong_folds(right: Iterable[Right]) -> Iterator[tuple[Case, onnx.ModelProto]]:
    """What comes out otherwise than it should, and is another function or none."""
    for one in right:
        made = folded_otherwise(one.case.model, one.fold.result)
        if made is not None and is_wrong(one.case, made):
            yield one.case, made


def folded_otherwise(model: onnx.ModelProto, before: onnx.ModelProto) -> onnx.ModelProto | None:
    """The fold, if there is one and it is another than it was."""
    try:
        made = folded(model)
    except Exception:
        return None
    return made if made.SerializeToString() != before.SerializeToString() else None


def is_wrong(case: Case, made: onnx.ModelProto) -> bool:
    for feed, values in zip(case.feeds, case.values, strict=True):
        try:
            found = run(made, feed)
        except Exception:
            return True
        for name, value in found.items():
            if name not in values:
                return True
            if value.dtype.kind == "f":
                scale = np.max(np.abs(values[name]), initial=1e-300)
                same = value.shape == values[name].shape
                if not (same and np.max(np.abs(value - values[name]), initial=0) <= 1e-8 * scale):
                    return True
    return False


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_no_wrong_fold_is_proved(right: list[Right], mutation: Mutation) -> None:
    reached = [one for one in right if one.fold.can_tell(mutation)]
    with mutation.applied():
        found = list(islice(wrong_folds(reached), _ENOUGH))
    for case, made in found:
        assert not prove(case.model, made).proved, f"{case.name}: {mutation.name}"


@cache
def folds_of(op_type: str) -> list[tuple[onnx.ModelProto, onnx.ModelProto]]:
    """Graphs of the op with their right folds: nightly all, else some fifty spread over them."""
    models = graphs_of(op_type)
    # Odd, so that each place and each kind of affine is met, whose numbers are powers of two.
    step = 1 if NIGHTLY else len(models) // 48 | 1
    return [(model, folded(model)) for model in models[::step]]


@pytest.mark.parametrize(("op_type", "row"), broken(loosened))
def test_no_wrong_fold_of_a_row_that_says_too_little_is_proved(
    op_type: str, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = folds_of(op_type)
    monkeypatch.setattr(engine, "rules", lambda: rules((*TABLE, row)))
    for model, before in models:
        made = folded_otherwise(model, before)
        # Without a proof it does not matter whether the fold is wrong.
        if made is not None and prove(model, made).proved:
            assert not is_wrong(Case.of(op_type, model), made)


def test_most_right_folds_are_proved(right: list[Right]) -> None:
    proved = [prove(one.case.model, one.fold.result).proved for one in right]
    assert sum(proved) >= 0.6 * len(proved)
