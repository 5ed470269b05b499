"""Two of ONNX's own examples that take the same inputs: what is proved of them holds.

Nobody here wrote the models: the examples of one op differ in one attribute or constant, and so
are the nearest wrong candidates of each other.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations
from typing import Any

import numpy as np
import onnx
import pytest
from nightly import NIGHTLY
from onnx.reference import ReferenceEvaluator
from onnx_cases import Case, node_cases

from bnfuse.proving import prove

_STEP = 1 if NIGHTLY else 3


def groups() -> dict[str, list[Case]]:
    """The examples of each op."""
    found = defaultdict(list)
    for case in node_cases():
        found[case.model.graph.node[0].op_type].append(case)
    return found


def renamed(model: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the names of another's inputs and outputs."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    sides = zip(
        (*made.graph.input, *made.graph.output),
        (*like.graph.input, *like.graph.output),
        strict=True,
    )
    names = {own.name: other.name for own, other in sides}
    for value in (*made.graph.input, *made.graph.output):
        value.name = names[value.name]
    for node in made.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return made


def pairs(cases: list[Case]) -> list[tuple[Case, Case]]:
    """Those whose inputs have the same types, and who have as many outputs."""

    def kind(case: Case) -> Any:
        graph = case.model.graph
        return [i.type for i in graph.input], len(graph.output)

    return [pair for pair in permutations(cases, 2) if kind(pair[0]) == kind(pair[1])][::_STEP]


def same(x: Any, y: Any) -> bool:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        return True
    close = x.shape == np.shape(y) and np.allclose(
        np.nan_to_num(x.astype(float)), np.nan_to_num(np.asarray(y, float)), 1e-3, 1e-5
    )
    return bool(close)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_proved_of_two_examples_holds() -> None:
    proved = 0
    for cases in groups().values():
        for a, b in pairs(cases):
            candidate = renamed(b.model, a.model)
            if prove(a.model, candidate).proved:
                proved += 1
                _hold(a, b, candidate)
    assert proved > 100


def _hold(a: Case, b: Case, candidate: onnx.ModelProto) -> None:
    names = [value.name for value in a.model.graph.input]
    others = [value.name for value in b.model.graph.input]
    for given, own in ((a.feeds[0], names), (b.feeds[0], others)):
        feeds = {name: given[key] for name, key in zip(names, own, strict=True)}
        x, y = (ReferenceEvaluator(m).run(None, feeds) for m in (a.model, candidate))
        assert all(map(same, x, y)), f"{a.name} and {b.name}"
