"""The pytest plugin of the wheel: pytest finds it by its entry point, and it costs nothing."""

from __future__ import annotations

import onnx
from pages import files, typed

TEST = """
import sys


def test_what_the_plugin_loads():
    assert "bnfuse.pytest_plugin" in sys.modules
    assert not {"numpy", "onnx", "onnxruntime", "bnfuse.verifying"} & sys.modules.keys()


def test_the_fixture(assert_parity):
    import onnx

    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) {y = Relu(x)}'
    model = onnx.parser.parse_model(text)
    assert {row.provider for row in assert_parity(model, model).rows} == {"cpu"}
"""


def test_pytest_finds_the_plugin_that_is_installed(tested, tmp_path):
    (tmp_path / "test_it.py").write_text(TEST)
    assert "2 passed" in tested.run("python -m pytest -q --bnfuse-providers cpu", tmp_path)
    assert "--bnfuse-providers=NAME[,NAME]" in tested.run("python -m pytest --help", tmp_path)
    ran = tested.shell("python -m pytest -q -p no:bnfuse --bnfuse-providers cpu", tmp_path)
    assert ran.returncode == 4


def test_the_page_is_right_about_the_plugin(tested, tmp_path):
    """Where torch is not: what the page's model.pt is, bnfuse finds by looking."""
    (tmp_path / "test_everywhere.py").write_text(files("docs/ci.md")["test_everywhere.py"])
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) {y = Relu(x)}'
    for name in ("model.pt", "model.onnx"):
        onnx.save(onnx.parser.parse_model(text), tmp_path / name)
    (one,) = [one for one in typed("docs/ci.md") if one.heading == "pytest"]
    assert "1 passed" in tested.run(one.command, tmp_path)
