"""``bnfuse verify``: exit codes, streams and files."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import onnx
import pytest
from click.testing import CliRunner

from bnfuse.cli.verify import verify
from bnfuse.errors import LoadError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 4] y) '


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """The paths of a model, of the same function written otherwise, and of a wrong one."""
    bodies = {
        "original": "c = Constant<value_float=3.0>() y = Div(x, c)",
        "right": "c = Constant<value_float=0.333333343>() y = Mul(x, c)",
        "wrong": "c = Constant<value_float=0.3334>() y = Mul(x, c)",
    }
    for name, body in bodies.items():
        onnx.save(onnx.parser.parse_model(f"{HEADER}{{ {body} }}"), tmp_path / f"{name}.onnx")
    return tuple(str(tmp_path / f"{name}.onnx") for name in bodies)  # type: ignore[return-value]


def run(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(verify, [*args], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_proven_is_0_and_says_so(files: tuple[str, str, str]) -> None:
    code, out, err = run(files[0], files[1], "--provider", "cpu")
    assert code == 0
    assert "PASS" in out
    assert "truth: onnx.reference in float64" in out
    assert "seed 0" in out
    assert "verify" in err


def test_different_is_1_and_says_where(files: tuple[str, str, str]) -> None:
    code, out, _ = run(files[0], files[2], "--provider", "cpu", "--localize")
    assert code == 1
    for part in ("FAIL", "worst element", "would have passed at factor", "where they part"):
        assert part in out


def test_a_provider_that_is_not_there_is_3(files: tuple[str, str, str]) -> None:
    code, out, _ = run(files[0], files[1], "--provider", "openvino")
    assert code == 3
    assert "INCONCLUSIVE" in out
    assert "onnxruntime-openvino" in out


def test_json_on_stdout_is_alone(files: tuple[str, str, str]) -> None:
    code, out, _ = run(files[0], files[2], "--provider", "cpu", "--json", "-", "--github")
    assert code == 1
    data = json.loads(out)
    assert data["verdict"] == "FAIL"
    assert data["parity"][0]["outputs"][0]["name"] == "y"


def test_quiet_says_nothing(files: tuple[str, str, str]) -> None:
    code, out, err = run(files[0], files[1], "--provider", "cpu", "-q")
    assert (code, out, err) == (0, "", "")


def test_verbose_lists_samples(files: tuple[str, str, str]) -> None:
    _, out, _ = run(files[0], files[1], "--provider", "cpu", "-v")
    assert "signed: x [32, 4]" in out


def test_files_for_ci(files: tuple[str, str, str], tmp_path: Path) -> None:
    junit, saved = tmp_path / "j.xml", tmp_path / "r.json"
    code, out, _ = run(
        files[0], files[2], "--provider", "cpu", "--junit", str(junit), "--json", str(saved),
        "--github",
    )  # fmt: skip
    assert code == 1
    assert "<failure" in junit.read_text()
    assert "::error file=" in out
    assert run("--rejudge", str(saved))[0] == 1
    code, out, _ = run("--rejudge", str(saved), "--factor", "1e9")
    assert code == 0
    assert "PASS" in out


def test_ranges_and_seed_reach_the_inputs(files: tuple[str, str, str]) -> None:
    code, out, _ = run(files[0], files[1], "--provider", "cpu", "--range", "x=0,1", "--seed", "7")
    assert code == 0
    assert "seed 7" in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "original and a candidate"),
        (("only.onnx",), "original and a candidate"),
        (("--rejudge", "r.json", "a", "b"), "takes no models"),
    ],
)
def test_usage_errors(args: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(*args)


@pytest.mark.parametrize("text", ["x", "x=1", "x=2,1", "=0,1", "x=a,b"])
def test_a_range_has_to_be_one(files: tuple[str, str, str], text: str) -> None:
    with pytest.raises(UsageError, match="NAME=LO,HI"):
        run(files[0], files[1], "--range", text)


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text("[1]")
    with pytest.raises(LoadError, match="no verification"):
        run("--rejudge", str(file))


def test_the_runtime_writes_nothing_of_its_own(files: tuple[str, str, str]) -> None:
    # Native code writes past Python's streams: only a process of its own shows it.
    code = (
        "import sys; from bnfuse.cli.verify import verify; "
        "sys.exit(verify.main(sys.argv[1:], standalone_mode=False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, files[0], files[1], "--provider", "auto", "--json", "-"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "PASS"
    assert done.stderr == ""
