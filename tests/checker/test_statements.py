"""The in-toto statement has the published fields, and is the same every time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from bnfuse.checker.certificate import SCHEMA
from bnfuse.proving.certificate import PREDICATE

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,4] x) => (float[N,4] y) {{ {} }}'


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path, body in zip(paths, ("y = Relu(x)", "n = Identity(x)  y = Relu(n)"), strict=True):
        onnx.save(onnx.parser.parse_model(TEXT.format(body)), path)
    return paths


def statement(pair: tuple[Path, Path]) -> str:
    command = [sys.executable, "-m", "bnfuse", "prove", *pair, "--statement", "in-toto", "-o", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_statement_names_both_files_by_their_digests(pair: tuple[Path, Path]) -> None:
    text = statement(pair)
    found = json.loads(text)
    # https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pair]
    assert found["subject"] == [
        {"name": path.name, "digest": {"sha256": digest}}
        for path, digest in zip(pair, digests, strict=True)
    ]
    assert found["predicateType"] == PREDICATE
    assert PREDICATE.endswith(SCHEMA)
    head = found["predicate"]
    assert (head["schema"], head["original"]["sha256"]) == (SCHEMA, digests[0])
    assert "cuts" not in head
    assert set(head["certificate"]) == {"sha256"}
    assert statement(pair) == text


def test_a_statement_carries_the_digest_of_the_certificate(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    proof = tmp_path / "proof.json"
    command = [sys.executable, "-m", "bnfuse", "prove", *pair, "-o", proof]
    subprocess.run(command, check=True, capture_output=True)
    head = json.loads(statement(pair))["predicate"]
    assert head["certificate"]["sha256"] == hashlib.sha256(proof.read_bytes()).hexdigest()
