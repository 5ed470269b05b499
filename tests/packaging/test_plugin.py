"""The pytest plugin of the wheel: pytest finds it by its entry point, and it costs nothing."""

from __future__ import annotations

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
