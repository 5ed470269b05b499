"""Pairs of models that one premise of the checker alone tells apart.

Of each pair the second model is another function, one premise refuses it, and without that premise
it would be called equal: so the premise is needed, and nothing stands in for it.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import bnfuse.checker
from bnfuse.checker.check import Cut, check
from bnfuse.checker.graph import Graph
from bnfuse.checker.nodes import NotProved
from bnfuse.proving import prove

Array = np.ndarray[Any, Any]
Site = tuple[str, int]
"""A module of the checker, and the line of a premise in it."""

_TEXT = (
    '<ir_version: 10, opset_import: ["" : {opset}{more}]> g ({inputs}) => ({out} y) {{ {body} }}'
)
_FOLDER = Path(bnfuse.checker.__path__[0])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models in ONNX's text form that are not the same.

    Attributes:
        reason: What the premise says that refuses the second, whole.
        a: The nodes of the original, up to ``y``.
        b: Those of the candidate.
        inputs: What both are fed.
        constants: Of both, by name.
        opset: The operator set of the original.
        other: That of the candidate; the same where it is 0.
        cuts: A proof that claims them equal, where none would be looked for.
        why: What is wrong with the second if running both does not show it.
        out: The type of the result.
        make: Changes a model that was made of the text, the side first: 0 or 1.
    """

    reason: str
    a: str
    b: str
    inputs: str = "float[N,4,6,6] x"
    constants: dict[str, Any] = field(default_factory=dict)
    opset: int = 20
    other: int = 0
    cuts: tuple[Cut, ...] = ()
    why: str = ""
    out: str = "float"
    make: Callable[[int, onnx.ModelProto], None] | None = None

    @property
    def models(self) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """Both."""
        first = self._model(0, self.a, self.opset)
        return first, self._model(1, self.b, self.other or self.opset)

    def _model(self, side: int, body: str, opset: int) -> onnx.ModelProto:
        more = ', "com.microsoft" : 1, "own" : 1'
        text = _TEXT.format(opset=opset, more=more, inputs=self.inputs, out=self.out, body=body)
        made = onnx.parser.parse_model(text)
        for name, array in self.constants.items():
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        inferred = onnx.shape_inference.infer_shapes(made)
        made.graph.output[0].CopyFrom(inferred.graph.output[0])
        if self.make is not None:
            self.make(side, made)
        return made

    def is_proved(self) -> bool:
        """Whether the checker calls both equal."""
        models = self.models
        if not self.cuts:
            return prove(*models).proved
        try:
            check(*Graph.pair(*models), self.cuts)
        except NotProved:
            return False
        return True

    def is_wrong(self) -> bool:
        """Whether running both shows that they differ."""
        return any(_differ(*self.models, size, seed) for size in (2, 1, 3) for seed in range(3))


def _differ(a: onnx.ModelProto, b: onnx.ModelProto, size: int, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    sizes: dict[str, int] = {}
    for value in a.graph.input:
        kind = value.type.tensor_type
        dims = [max(d.dim_value, 0) or sizes.setdefault(d.dim_param, size) for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        numbers = 3.0 * rng.standard_normal(dims)
        feeds[value.name] = (numbers > 0.0) if dtype is np.dtype(bool) else numbers.astype(dtype)
    results = []
    for model in (a, b):
        own = {value.name for value in model.graph.input}
        try:
            fed = {name: array for name, array in feeds.items() if name in own}
            results.append(np.asarray(ReferenceEvaluator(model).run(None, fed)[0]))
        except Exception:
            results.append(None)
    x, y = results
    if x is None or y is None:
        return (x is None) != (y is None)
    if x.shape != y.shape or x.dtype != y.dtype:
        return True
    return not np.allclose(x.astype(float), y.astype(float), rtol=1e-3, atol=1e-3, equal_nan=True)


def modules() -> list[str]:
    """The modules of the checker."""
    return [info.name for info in pkgutil.iter_modules([str(_FOLDER)])]


def sites() -> dict[Site, str]:
    """Every premise of the checker that is demanded by ``need``, and what it says."""
    found = {}
    for name in modules():
        tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if called and node.func.id == "need":
                found.update({(name, node.lineno): ast.unparse(node.args[1])})
    return found


@contextmanager
def granted(reason: str) -> Iterator[set[Site]]:
    """Take the premises that say ``reason`` for granted; where one of them did not hold."""
    broken: set[Site] = set()

    def lenient(premise: object, said: str, value: str = "") -> None:
        if premise:
            return
        if said != reason:
            raise NotProved(said, value)
        frame = sys._getframe(1)
        lines = _calls(Path(frame.f_code.co_filename).stem)
        broken.add((Path(frame.f_code.co_filename).stem, lines[frame.f_lineno]))

    kept = []
    for name in modules():
        module = importlib.import_module(f"bnfuse.checker.{name}")
        if "need" in vars(module):
            kept.append((module, module.need))
            module.need = lenient  # type: ignore[attr-defined]
    try:
        yield broken
    finally:
        for module, need in kept:
            module.need = need  # type: ignore[attr-defined]


def _calls(name: str) -> dict[int, int]:
    """Of each line of a module, the first line of the call of ``need`` that it belongs to."""
    found = {}
    tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "need"
        ):
            found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), node.lineno))
    return found
