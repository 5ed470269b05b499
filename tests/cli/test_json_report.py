"""``--json`` in every outcome, held to the schema that is installed and to docs/json.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from processes import COMMAND

import bnfuse
from bnfuse.reporting.schema import SCHEMA_VERSION, schema_text
from bnfuse.verifying.verdicts import result as verifying

SCHEMA = json.loads(schema_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DOCS = Path(__file__).parents[2] / "docs" / "json.md"


def valid(report: str | bytes) -> dict[str, Any]:
    """The report, which is as the schema has it."""
    data: dict[str, Any] = json.loads(report)
    # The one kind that it is tells more than that it is none of them.
    kind = "failure" if data["error"] else data["command"]
    kind = "fold" if kind == "export" else kind
    part = {**SCHEMA, "$ref": f"#/$defs/{kind}"}
    del part["oneOf"]
    jsonschema.Draft202012Validator(part).validate(data)
    VALIDATOR.validate(data)
    assert data["schema"] == SCHEMA_VERSION
    assert data["bnfuse"] == bnfuse.__version__
    return data


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_verified_fold(net_onnx: Path, process) -> None:
    ran = process("fold", net_onnx, "--json", "-")
    data = valid(ran.out)
    assert (ran.code, data["exit_code"], data["verdict"]) == (0, 0, "PASS")
    assert data["files"]["source"][0]["sha256"] == sha256(net_onnx)
    assert data["files"]["output"][0]["sha256"] == sha256(Path(data["output"]))
    assert data["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_fold_that_was_not_verified(net_onnx: Path, process) -> None:
    data = valid(process("fold", net_onnx, "--no-verify", "--json", "-").out)
    assert (data["exit_code"], data["verdict"], data["parity"]) == (0, "NOT VERIFIED", [])


def test_an_export(tmp_path: Path, process) -> None:
    import torch

    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), tmp_path / "model.pt")
    data = valid(process("export", "model.pt", "--json", "-").out)
    assert (data["command"], data["exporter"]) == ("export", "torch.onnx (torch.export)")


def test_a_fold_that_could_not_be_judged(net_onnx: Path, process) -> None:
    ran = process("fold", net_onnx, "--provider", "openvino", "--json", "r.json")
    data = valid(net_onnx.with_name("r.json").read_bytes())
    assert (ran.code, data["exit_code"], data["verdict"]) == (3, 3, "INCONCLUSIVE")
    assert data["output"].endswith("net.folded.unverified.onnx")
    assert data["files"]["output"][0]["sha256"] == sha256(Path(data["output"]))


def test_models_that_differ(net_onnx: Path, wrong_onnx: Path, process) -> None:
    ran = process("verify", net_onnx, wrong_onnx, "--localize", "--json", "r.json")
    file = net_onnx.with_name("r.json")
    data = valid(file.read_bytes())
    assert (ran.code, data["exit_code"], data["verdict"]) == (1, 1, "FAIL")
    assert data["files"]["original"][0]["sha256"] == sha256(net_onnx)
    assert data["files"]["candidate"][0]["sha256"] == sha256(wrong_onnx)
    assert data["localized"]
    again = valid(process("verify", "--rejudge", file, "--json", "-").out)
    assert (again["verdict"], again["original"], again["files"]["original"]) == ("FAIL", None, [])


def test_times(net_onnx: Path, wrong_onnx: Path, process) -> None:
    data = valid(process("bench", net_onnx, wrong_onnx, "--rounds", 6, "--json", "-").out)
    assert [model["files"][0]["sha256"] for model in data["models"]] == [
        sha256(net_onnx),
        sha256(wrong_onnx),
    ]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["fold", "none.pt"], 2, "does not exist"),
        (["fold", "net.onnx", "--frob"], 2, "--frob"),
        (["fold"], 2, "Missing argument"),
        (["fold", "net.onnx", "--opset", "many"], 2, "opset"),
        (["fold", "net.onnx", "-o", "none/x"], 2, "cannot be written"),
        (["export", "net.onnx"], 2, "ONNX model already"),
        (["verify", "net.onnx"], 2, "a candidate"),
        (["verify", "net.onnx", "none.onnx"], 2, "no file"),
        (["verify", "net.onnx", "net.onnx", "--range", "x"], 2, "NAME=LO,HI"),
        (["bench", "none.onnx"], 2, "no file"),
        (["bench", "net.onnx", "--provider", "openvino"], 3, "OpenVINO"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("spelt", ["--json=r.json", "--json r.json", "--json -"])
def test_what_could_not_be_done(
    args: list[str], code: int, says: str, spelt: str, net_onnx: Path, process
) -> None:
    ran = process(*args, *spelt.split())
    data = valid(ran.out if spelt == "--json -" else net_onnx.with_name("r.json").read_bytes())
    assert (ran.code, data["exit_code"], data["command"]) == (code, code, args[0])
    assert says in data["error"]["message"]
    assert data["error"]["hint"]
    assert data["error"]["message"] in ran.err
    if args[:2] == ["fold", "net.onnx"] and len(args) == 4 and "--opset" not in args:
        assert data["files"]["source"][0]["sha256"] == sha256(net_onnx)


@pytest.mark.parametrize(
    "args",
    [
        ["fold", "net.onnx", "--json", "net.onnx"],
        ["fold", "net.onnx", "--json", "./net.onnx", "--frob"],
        ["fold", "net.onnx", "--json=net.onnx", "--frob"],
        ["fold", "--frob=net.onnx", "--json", "net.onnx"],
        ["verify", "x", "net.onnx", "--json", "net.onnx"],
        ["bench", "net.onnx", "--json", "net.onnx"],
        ["fold", "x.onnx", "--frob", "--no-clobber", "--json", "net.onnx"],
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_report_of_a_failure_replaces_nothing(args: list[str], net_onnx: Path, process) -> None:
    before = net_onnx.read_bytes()
    assert process(*args).code == 2
    assert net_onnx.read_bytes() == before


def test_help_writes_no_report(tmp_path: Path, process) -> None:
    assert process("fold", "--json", "r.json", "--help").code == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_an_interrupt(net_onnx: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from bnfuse.cli.main import main\n"
        "from bnfuse.onnxfiles import write as place\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "place.ModelMessage.write = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "main(sys.argv[1:])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "fold", str(net_onnx), "--json", "r.json"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    data = valid((tmp_path / "r.json").read_bytes())
    assert ran.returncode == data["exit_code"] == 130
    assert data["error"]["message"].startswith("interrupted")
    assert data["files"]["source"][0]["sha256"] == sha256(net_onnx)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes of POSIX")
def test_a_pipe_that_was_closed(net_onnx: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [*COMMAND, "fold", str(net_onnx), "-o", "-", "--json", "r.json"],
        stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    os.close(write)
    data = valid((tmp_path / "r.json").read_bytes())
    assert ran.returncode == data["exit_code"] == 141


def test_the_schema_is_one_and_can_be_printed(process) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert process("schema").out.decode() == schema_text()


def keys(schema: dict[str, Any]) -> set[str]:
    """The paths of all keys, as docs/json.md writes them: ``norms.found``, ``folds[].into``."""
    if "$ref" in schema:
        return keys(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    found = set()
    for branch in schema.get("oneOf", ()):
        found |= keys(branch)
    for name, inner in schema.get("properties", {}).items():
        assert inner["description"], name
        below = {path if path[:1] == "[" else f".{path}" for path in keys(inner)}
        found |= {name} | {name + path for path in below}
    if schema.get("type") == "array":
        below = keys(schema["items"])
        found |= {f"[].{path}" for path in below}
    return found


def test_the_documentation_has_every_key_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == keys(SCHEMA)


@pytest.mark.parametrize(
    "kind",
    [
        *("Parity", "OutputParity", "ConstantParity", "LocalizedValue", "Truth", "Worst"),
        *("Measure", "Thresholds", "BranchCount", "Flip"),
    ],
)
def test_the_schema_has_what_a_verification_has(kind: str) -> None:
    names = {field.name for field in dataclasses.fields(getattr(verifying, kind))}
    assert any(names == found for found in _objects(SCHEMA))


def _objects(schema: Any) -> list[set[str]]:
    if isinstance(schema, list):
        return [found for item in schema for found in _objects(item)]
    if not isinstance(schema, dict):
        return []
    own = [set(schema["properties"])] if isinstance(schema.get("properties"), dict) else []
    return own + [found for item in schema.values() for found in _objects(item)]
