"""What is proved is true: of honest folds, of breakages, and of what was written to deceive."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import OPS, fold_model
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from random_graphs import seeded_model

from bnfuse.checker.__main__ import check_files
from bnfuse.checker.nodes import NotProved
from bnfuse.proving import Proved, prove

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,2,8,8] x) => (float[N,3,6,6] y)
<float[3,2,3,3] w, float[3] b, float[3] gamma, float[3] beta, float[3] mean, float[3] var>
{ c = Conv(x, w, b)  n = BatchNormalization(c, gamma, beta, mean, var)  y = Relu(n) }
"""


def numbers(model: onnx.ModelProto, **given: Any) -> onnx.ModelProto:
    """The model with its initializers filled in."""
    for name, array in given.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    declared = {t.name for t in model.graph.initializer}
    assert len(declared) == len(model.graph.initializer)
    return model


def conv_norm_relu() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    parameters = {
        "w": rng.standard_normal((3, 2, 3, 3)),
        "b": rng.standard_normal(3),
        "gamma": np.array([0.5, -1.0, 2.0]),
        "beta": rng.standard_normal(3),
        "mean": rng.standard_normal(3),
        "var": rng.uniform(0.5, 2.0, 3),
    }
    text = TEXT.replace("\n<float[3,2,3,3] w, float[3] b, float[3] gamma, float[3] beta, ", "\n")
    text = text.replace("float[3] mean, float[3] var>\n", "")
    model = onnx.parser.parse_model(text)
    return numbers(model, **{k: v.astype(np.float32) for k, v in parameters.items()})


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    return fold_model(model).after


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    model = conv_norm_relu()
    onnx.save(model, a)
    onnx.save(folded(model), b)
    return a, b


def proof_of(a: onnx.ModelProto, b: onnx.ModelProto, folder: Path) -> Proved:
    onnx.save(a, folder / "a.onnx")
    onnx.save(b, folder / "b.onnx")
    return prove(folder / "a.onnx", folder / "b.onnx")


def written(found: Proved, folder: Path, **changes: Any) -> Path:
    path = folder / "proof.json"
    path.write_text(json.dumps({**(found.certificate or {}), **changes}))
    return path


def test_a_fold_is_proved_within_one_unit_and_the_certificate_holds(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    found = prove(*pair)
    assert found.proved
    assert found.units <= 1.01
    assert check_files(written(found, tmp_path), *pair).units == found.units


def test_a_certificate_is_the_same_every_time(pair: tuple[Path, Path]) -> None:
    assert json.dumps(prove(*pair).certificate) == json.dumps(prove(*pair).certificate)


def test_the_checker_needs_numpy_and_onnx_only() -> None:
    code = (
        "import sys, bnfuse.checker.__main__\n"
        "ours = {m for m in sys.modules if m.startswith('bnfuse')}\n"
        "print(sorted(m for m in ours if not m.startswith('bnfuse.checker')))\n"
        "print([m for m in ('torch', 'onnxruntime', 'onnx_ir', 'click') if m in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["['bnfuse']", "[]"]


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-5])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_one_number_that_differs_is_no_proof(name: str, size: float, tmp_path: Path) -> None:
    model = conv_norm_relu()
    broken = folded(model)
    tensor = sorted(broken.graph.initializer, key=lambda t: len(t.dims))[
        -1 if name == "weight" else 0
    ]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[2] += size * np.abs(array).max()
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    assert not proof_of(model, broken, tmp_path).proved


@pytest.mark.parametrize("seed", range(40))
def test_nothing_that_is_proved_of_a_random_graph_is_wrong(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    result = fold_model(seeded_model(seed))
    candidates = [result.after, *(_broken(result.after, rng) for _ in range(4))]
    for candidate in candidates:
        if not proof_of(result.before, candidate, tmp_path).proved:
            continue
        for _ in range(2):
            feeds = {
                i.name: rng.standard_normal(
                    [d.dim_value or 3 for d in i.type.tensor_type.shape.dim]
                )
                for i in result.before.graph.input
            }
            x, y = (
                ReferenceEvaluator(model, new_ops=OPS).run(None, feeds)
                for model in (result.before, candidate)
            )
            for p, q in zip(x, y, strict=True):
                np.testing.assert_allclose(p, q, rtol=1e-6, atol=1e-9)


def _broken(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with one number, attribute, op or order of inputs changed."""
    broken = copy.deepcopy(model)
    node = broken.graph.node[rng.integers(len(broken.graph.node))]
    stored = [t for t in broken.graph.initializer if t.data_type == 11 and np.prod(t.dims) > 0]
    kind = rng.integers(4)
    if kind == 0 and stored:
        tensor = stored[rng.integers(len(stored))]
        array = numpy_helper.to_array(tensor).copy()
        array.flat[rng.integers(array.size)] += 10.0 ** rng.integers(-6, 1)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif kind == 1 and node.attribute:
        attribute = node.attribute[rng.integers(len(node.attribute))]
        attribute.i += 1
        attribute.f *= 1.5
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] += 1
    elif kind == 2 and len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]
    elif node.op_type != "Constant" and len(node.output) == 1:
        first = node.input[0]
        node.CopyFrom(helper.make_node("Identity", [first], list(node.output)))
    return broken


def claim(a: str, b: str, law: str = "op", **more: Any) -> dict[str, Any]:
    return {"a": a, "b": b, "law": law, **more}


FORGED = {
    "an output that is claimed by itself": [claim("y", "y", "linear", over=[["y", "y"]])],
    "two cuts that rest on one another": [
        claim("n", "n", "linear", over=[["y", "y"]]),
        claim("y", "y"),
    ],
    "a cut that is missing": [claim("y", "y")],
    "a cut that claims too much": [
        claim("n", "n", "linear", over=[["x", "x"]], axis=None, scale=2.0, shift=0.0),
        claim("y", "y"),
    ],
    "a scale of 0": [claim("n", "n", "linear", over=[["x", "x"]], axis=None, scale=0.0, shift=0)],
    "a huge number": [
        claim("n", "n", "linear", over=[["x", "x"]], axis=None, scale=1e300, shift=0.0)
    ],
    "a law that is none": [claim("y", "y", "trust me")],
    "channels that are none": [
        claim("n", "n", "linear", over=[["x", "x"]], axis=7, scale=[1.0, 2.0], shift=[0.0, 0.0])
    ],
    "a value that is none": [claim("nothing", "y")],
    "no cuts": [],
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_certificate_is_refused(
    kind: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    honest = prove(*pair)
    with pytest.raises(NotProved):
        check_files(written(honest, tmp_path, cuts=FORGED[kind]), *pair)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "bnfuse-proof/2"}',
        '{"schema": "bnfuse-proof/1", "original": {"sha256": 1}}',
        "[" * 5000,
    ],
)
def test_what_is_no_certificate_is_refused(
    text: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "proof.json").write_text(text)
    with pytest.raises(NotProved, match="no certificate"):
        check_files(tmp_path / "proof.json", *pair)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"1"', "true"])
def test_a_number_that_is_none_is_refused(
    number: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    cut = claim("n", "n", "linear", over=[["x", "x"]], axis=None, scale=1.0, shift="HERE")
    text = json.dumps({**(prove(*pair).certificate or {}), "cuts": [cut]})
    (tmp_path / "proof.json").write_text(text.replace('"HERE"', number))
    with pytest.raises(NotProved, match="number"):
        check_files(tmp_path / "proof.json", *pair)


def test_a_truncated_certificate_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = written(prove(*pair), tmp_path)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(NotProved):
        check_files(path, *pair)


def test_a_certificate_is_of_its_two_files_in_their_order(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    path = written(prove(*pair), tmp_path)
    for files in (pair[::-1], (pair[0], pair[0]), (pair[1], pair[1])):
        with pytest.raises(NotProved, match="another"):
            check_files(path, *files)


def test_a_certificate_that_claims_fewer_units_is_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    found = prove(*pair)
    with pytest.raises(NotProved, match="units"):
        check_files(written(found, tmp_path, units=found.units / 2), *pair)


ORIGINAL = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[2,4,8,8] x) => (float[2,4,8,8] y) {{ {body} }}
"""
PLAIN = "y = Relu(x)"
GUARDED = {
    "an overflow and its undoing": (
        PLAIN,
        "big = Constant<value = float {1e36}>()  small = Constant<value = float {1e-36}>()"
        "  m = Mul(x, big)  n = Mul(m, small)  y = Relu(n)",
    ),
    "an underflow and its undoing": (
        PLAIN,
        "big = Constant<value = float {1e36}>()  small = Constant<value = float {1e-36}>()"
        "  m = Mul(x, small)  n = Mul(m, big)  y = Relu(n)",
    ),
    "a sum that cancels": (
        PLAIN,
        "big = Constant<value = float {1e8}>()  m = Add(x, big)  n = Sub(m, big)  y = Relu(n)",
    ),
    "Dropout in training mode": (
        PLAIN,
        "r = Constant<value = float {0.5}>()  t = Constant<value = bool {1}>()"
        "  n = Dropout(x, r, t)  y = Relu(n)",
    ),
    "a drift of every scale": (
        PLAIN,
        "s = Constant<value = float {1.00001}>()  n = Mul(x, s)  y = Relu(n)",
    ),
    "a rounding to half precision": (
        PLAIN,
        "h = Cast<to = 10>(x)  n = Cast<to = 1>(h)  y = Relu(n)",
    ),
    "random numbers on both sides": (
        "r = RandomNormal<shape = [2,4,8,8], seed = 1.0>()  y = Add(x, r)",
        "r = RandomNormal<shape = [2,4,8,8], seed = 1.0>()  y = Add(x, r)",
    ),
    "another slope": ("y = LeakyRelu<alpha = 0.1>(x)", "y = LeakyRelu<alpha = 0.2>(x)"),
    "bounds that only the candidate has": (
        PLAIN,
        "lo = Constant<value = float {-1000.0}>()  hi = Constant<value = float {1000.0}>()"
        "  n = Clip(x, lo, hi)  y = Relu(n)",
    ),
    "another op": (PLAIN, "y = Softplus(x)"),
}


@pytest.mark.parametrize("kind", GUARDED)
def test_a_guard_withholds_the_proof(kind: str, tmp_path: Path) -> None:
    models = [onnx.parser.parse_model(ORIGINAL.format(body=body)) for body in GUARDED[kind]]
    assert not proof_of(models[0], models[1], tmp_path).proved


SAME = {
    "defaults that are written out": (
        "y = MaxPool<kernel_shape = [1,1]>(x)",
        "y = MaxPool<kernel_shape = [1,1], dilations = [1,1], pads = [0,0,0,0], ceil_mode = 0>(x)",
    ),
    "no padding in so many words": (
        "y = MaxPool<kernel_shape = [1,1]>(x)",
        'y = MaxPool<kernel_shape = [1,1], auto_pad = "VALID">(x)',
    ),
    "an identity": (PLAIN, "n = Identity(x)  y = Relu(n)"),
    "a scale that goes through and is undone": (
        PLAIN,
        "a = Constant<value = float {4.0}>()  b = Constant<value = float {0.25}>()"
        "  m = Mul(x, a)  n = Relu(m)  y = Mul(n, b)",
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_another_spelling_is_proved(kind: str, tmp_path: Path) -> None:
    models = [onnx.parser.parse_model(ORIGINAL.format(body=body)) for body in SAME[kind]]
    found = proof_of(models[0], models[1], tmp_path)
    assert found.proved, found.reason


def test_a_sum_that_broadcasts_is_no_branch_of_a_convolution(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 20]>
    g (float[1,2,A,B] x, float[1,2,C,D] z) => (float[1,2,E,F] y) {{ {body} }}
    """
    weight = np.random.default_rng(0).standard_normal((2, 2, 3, 3)).astype(np.float32)
    pads = "pads = [1,1,1,1]"
    a = f"s = Add(x, z)  y = Conv<{pads}>(s, w)"
    b = f"p = Conv<{pads}>(x, w)  q = Conv<{pads}>(z, w)  y = Add(p, q)"
    models = [numbers(onnx.parser.parse_model(text.format(body=body)), w=weight) for body in (a, b)]
    assert not proof_of(models[0], models[1], tmp_path).proved


def test_the_commands_prove_and_check(pair: tuple[Path, Path], tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    command = [sys.executable, "-m", "bnfuse"]
    run = subprocess.run([*command, "prove", *pair, "-o", proof], capture_output=True, text=True)
    assert run.returncode == 0
    assert run.stdout.startswith("PROVED within")
    for checker in ([*command, "check"], [sys.executable, "-m", "bnfuse.checker"]):
        run = subprocess.run([*checker, proof, *pair], capture_output=True, text=True)
        assert (run.returncode, run.stdout[:6]) == (0, "PROVED")
        run = subprocess.run([*checker, proof, *pair[::-1]], capture_output=True, text=True)
        assert run.returncode == 3
    run = subprocess.run([*command, "prove", pair[0], proof], capture_output=True, text=True)
    assert run.returncode in (2, 3)
    assert "Traceback" not in run.stderr
