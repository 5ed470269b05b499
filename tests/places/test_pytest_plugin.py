"""The pytest plugin, in test suites of its own."""

from __future__ import annotations

import subprocess
import sys

import onnx
import pytest

pytest_plugins = ["pytester"]

MODEL = '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 4] y) {{y = {}(x)}}'


@pytest.fixture
def suite(pytester, monkeypatch):
    """Run a test file beside two models, with the plugin and no other one that is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, op in (("model", "Relu"), ("same", "Relu"), ("other", "Abs")):
        onnx.save(onnx.parser.parse_model(MODEL.format(op)), pytester.path / f"{name}.onnx")

    def run(body, *options):
        pytester.makepyfile(f"def test_it(assert_parity):\n    {body}\n")
        return pytester.runpytest_inprocess("-p", "bnfuse.pytest_plugin", *options)

    return run


def on(*providers):
    return (
        "result = assert_parity('model.onnx', 'same.onnx')\n"
        f"    assert {{row.provider for row in result.rows}} == {set(providers)!r}"
    )


@pytest.mark.parametrize("options", [(), ("--bnfuse-providers=CPU",)])
def test_the_fixture_passes_what_is_the_same_function(suite, options):
    suite("assert_parity('model.onnx', 'same.onnx')", *options).assert_outcomes(passed=1)


def test_the_option_names_the_providers(suite):
    suite(on("cpu"), "--bnfuse-providers", "cpu").assert_outcomes(passed=1)


def test_what_is_another_function_fails_with_the_worst_element(suite):
    ran = suite("assert_parity('model.onnx', 'other.onnx')", "--bnfuse-providers", "cpu")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E * AssertionError: FAIL: *", "E * worst element: *"])


def test_a_provider_that_is_not_there_fails_the_test_and_is_named(suite):
    ran = suite("assert_parity('model.onnx', 'same.onnx')", "--bnfuse-providers", "cpu, coreml")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E * AssertionError: INCONCLUSIVE: coreml*"])


def test_a_provider_that_nobody_has_is_told_from_what_was_meant(suite):
    ran = suite("assert_parity('model.onnx', 'same.onnx')", "--bnfuse-providers", "cpuu")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*There is no provider 'cpuu'. Did you mean cpu?*"])


def test_providers_that_the_test_names_come_first(suite):
    body = on("cpu").replace("'same.onnx')", "'same.onnx', providers=['cpu'])")
    suite(body, "--bnfuse-providers", "coreml").assert_outcomes(passed=1)


@pytest.mark.parametrize("names", ["", "cpu,", ","])
def test_no_name_is_a_usage_error(suite, names):
    ran = suite("pass", f"--bnfuse-providers={names}")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*names no provider*"])


def test_a_suite_that_does_not_use_the_fixture_loads_nothing_for_it(tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n"
        "    heavy = {'numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'torch', 'rich', 'click'}\n"
        "    assert 'bnfuse.pytest_plugin' in sys.modules\n"
        "    assert not heavy & {*sys.modules}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "bnfuse.pytest_plugin", str(tmp_path)]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
