"""Names in a model are anybody's: what a terminal would obey is escaped wherever they are told."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

TEXT = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 4] y)'
    " {{ t = Neg(x) y = {op}({read}) }}"
)
ESCAPE = "\x1b[31m\n"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with two models that differ, and one that reads what nothing makes."""
    for name, op, read in (("a", "Relu", "t"), ("b", "Abs", "t"), ("broken", "Relu", "absent")):
        model = onnx.parser.parse_model(TEXT.format(op=op, read=read))
        for node in model.graph.node:
            node.name = node.output[0] + ESCAPE
            for names in (node.input, node.output):
                names[0] += ESCAPE
        for value in (*model.graph.input, *model.graph.output):
            value.name += ESCAPE
        onnx.save(model, tmp_path / f"{name}.onnx")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "inspect a.onnx -v",
        "inspect a.onnx b.onnx",
        "inspect a.onnx --input-shape q=1,4",
        "inspect broken.onnx",
        "fold a.onnx -v",
        "fold broken.onnx -q",
        "verify a.onnx b.onnx --localize -v",
        "verify a.onnx b.onnx -q",
        "verify a.onnx b.onnx --range q=0,1",
        "prove a.onnx b.onnx",
        "bench a.onnx --rounds 6 --no-memory",
    ],
)
@pytest.mark.usefixtures("hostile")
def test_no_name_reaches_the_terminal_as_it_is(words: str, process) -> None:
    ran = process(*words.split())
    told = ran.out.decode() + ran.err
    assert told
    assert "\x1b" not in told
    if "error: " in told or "-q" in words:
        assert sum(not line.startswith("load ") for line in ran.err.splitlines()) == 1


@pytest.mark.parametrize("pair", ["cut.onnx whole.onnx", "whole.onnx cut.onnx", "t.txt t.txt"])
def test_a_file_that_cannot_be_read_is_no_missing_proof(pair: str, tmp_path: Path, process) -> None:
    whole = onnx.parser.parse_model(TEXT.format(op="Relu", read="t")).SerializeToString()
    (tmp_path / "whole.onnx").write_bytes(whole)
    (tmp_path / "cut.onnx").write_bytes(whole[:-9])
    (tmp_path / "t.txt").write_text("no model")
    ran = process("prove", *pair.split())
    assert ran.code == 2
    assert "cannot be read as ONNX" in ran.err
    assert not ran.out
