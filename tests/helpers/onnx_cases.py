"""The backend tests of the onnx package as models to fold, each with the inputs to run it on.

Every case of an operator comes three times: as it is shipped; with all its inputs but the first
stored as constants, as a trained model has them; and so with a norm before and behind it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.node import collect_testcases

SHIPPED = ("simple", "pytorch-converted", "pytorch-operator")
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
_NORMED = {TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.FLOAT16}


@dataclass(frozen=True, eq=False)
class Case:
    """A model and inputs for it.

    Attributes:
        kind: Which part of the tests it is from.
        name: What it is called there.
        model: The model.
        feeds: Input values by name, one mapping for each run.
    """

    kind: str
    name: str
    model: onnx.ModelProto
    feeds: tuple[dict[str, Any], ...]


@cache
def node_cases() -> tuple[Case, ...]:
    """One case for each example of each operator, of its own opset."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        shipped = collect_testcases(None)
    cases = []
    for case in shipped:
        names = [value.name for value in case.model.graph.input]
        feeds = [
            {name: _plain(x) for name, x in zip(names, inputs, strict=True)}
            for inputs, _ in case.data_sets
        ]
        cases.append(Case("node", case.name, case.model, tuple(feeds)))
    return tuple(cases)


def shipped_cases(kind: str) -> Iterator[Case]:
    """The cases of a kind that are shipped as files."""
    for case in sorted(loader.load_model_tests(kind=kind), key=lambda case: case.name):
        model = onnx.load(Path(case.model_dir) / "model.onnx")
        folders = sorted(Path(case.model_dir).glob("test_data_set_*"))
        yield Case(kind, case.name, model, tuple(_read_feeds(model, folder) for folder in folders))


def light_cases() -> Iterator[Case]:
    """Nets of the model zoo whose weights are made by nodes, on a ramp as their tests use."""
    for path in sorted(Path(loader.DATA_DIR, "light").glob("*.onnx")):
        model = onnx.load(path)
        feeds = {}
        for value in fed(model):
            shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            count = int(np.prod(shape))
            feeds[value.name] = (np.arange(count).reshape(shape) / count).astype(np.float32)
        yield Case("light", path.stem, model, (feeds,))


def fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no initialisers."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def with_constants(case: Case) -> Case | None:
    """The case with all its tensors but the first as constants; ``None`` if it has no others."""
    if len(case.feeds) != 1 or not case.feeds[0]:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    feeds = dict(case.feeds[0])
    for value in model.graph.input[1:]:
        array = feeds[value.name]
        if value.type.HasField("tensor_type") and isinstance(array, np.ndarray):
            del feeds[value.name]
            # The type is the graph's: numpy has none for some of ONNX's.
            tensor = numpy_helper.from_array(array, value.name)
            if tensor.data_type != value.type.tensor_type.elem_type:
                return None
            model.graph.initializer.append(tensor)
    stored = {tensor.name for tensor in model.graph.initializer}
    if not stored:
        return None
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    return Case("node, constants", case.name, model, (feeds,))


def with_norms(case: Case) -> Case | None:
    """The case with a norm before each float input and behind each float output."""
    case = with_constants(case) or case
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    standard = [opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if len(case.feeds) != 1 or any(opset.version < OPSETS[0] for opset in standard):
        return None
    if not standard:
        model.opset_import.append(helper.make_opsetid("", 21))
    rng = np.random.default_rng(len(case.name))
    graph, count = model.graph, len(model.graph.initializer)
    before, behind = [], []
    renamed: dict[str, str] = {}
    for value in graph.input:
        if (shape := _norm_shape(value)) is not None:
            renamed[value.name] = f"{value.name}.normed"
            ends = (value.name, renamed[value.name])
            before += _norm(graph, *ends, shape, value.type.tensor_type.elem_type, rng)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
    for value in graph.output:
        if (shape := _norm_shape(value)) is not None and value.name not in renamed:
            raw = f"{value.name}.raw"
            for node in graph.node:
                for names in (node.input, node.output):
                    for position, name in enumerate(names):
                        names[position] = raw if name == value.name else name
            behind += _norm(graph, raw, value.name, shape, value.type.tensor_type.elem_type, rng)
    if len(graph.initializer) == count:
        return None
    nodes = [*before, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    model.ir_version = max(model.ir_version, 4)
    return Case("node, norms", case.name, model, case.feeds)


def _norm_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    if tensor.elem_type not in _NORMED or len(dims) < 2 or dims[1] < 1:
        return None
    return (dims[1], *(1,) * (len(dims) - 2))


def _norm(
    graph: onnx.GraphProto,
    x: str,
    y: str,
    shape: tuple[int, ...],
    element: int,
    rng: np.random.Generator,
) -> list[onnx.NodeProto]:
    dtype = helper.tensor_dtype_to_np_dtype(element)
    scale = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0, 1.0], shape)
    for name, array in (("scale", scale), ("shift", rng.standard_normal(shape))):
        tensor = numpy_helper.from_array(array.astype(dtype), f"{y}.{name}")
        graph.initializer.append(tensor)
    return [
        helper.make_node("Mul", [x, f"{y}.scale"], [f"{y}.scaled"]),
        helper.make_node("Add", [f"{y}.scaled", f"{y}.shift"], [y]),
    ]


def _read_feeds(model: onnx.ModelProto, folder: Path) -> dict[str, Any]:
    feeds = {}
    for index, value in enumerate(model.graph.input):
        path = folder / f"input_{index}.pb"
        if not path.exists():
            continue
        if value.type.HasField("sequence_type"):
            sequence = onnx.SequenceProto.FromString(path.read_bytes())
            feeds[value.name] = numpy_helper.to_list(sequence)
        else:
            tensor = TensorProto.FromString(path.read_bytes())
            feeds[value.name] = numpy_helper.to_array(tensor)
    return feeds


def _plain(value: Any) -> Any:
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def in_opset(case: Case, opset: int) -> Case | None:
    """The case converted to another opset, newer or older; ``None`` where onnx does not do that."""
    try:
        model = onnx.version_converter.convert_version(case.model, opset)
        onnx.checker.check_model(model, full_check=True)
    except Exception:
        return None
    return Case("all of these, converted", f"{case.name} in opset {opset}", model, case.feeds)


def all_cases(every: int = 1) -> Iterator[Case]:
    """Every case, or every so manieth of those of an operator, and what is made of them."""
    nodes = node_cases()[::every]
    shipped = [case for kind in SHIPPED for case in shipped_cases(kind)]
    yield from nodes
    for change in (with_constants, with_norms):
        yield from filter(None, map(change, nodes))
    yield from shipped
    normed = [case for case in map(with_norms, nodes) if case is not None]
    for position, case in enumerate([*shipped, *normed]):
        # Each meets one opset, its neighbours the others: all of them would be forty thousand.
        converted = in_opset(case, OPSETS[position % len(OPSETS)])
        if converted is not None:
            yield converted
