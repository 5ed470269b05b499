"""The GitHub Action's steps as the runner runs them, on files that stand for the runner's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
HOSTILE = "y`|<img src=x onerror=alert(1)>\n::error::owned\n# [x](http://x)"


def model(op="Relu", output="y"):
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 4] y) {y = OP(x)}'
    )
    made = onnx.parser.parse_model(text.replace("OP", op))
    made.graph.output[0].name = made.graph.node[0].output[0] = output
    return made


class Ran:
    def __init__(self, process, folder):
        self.code, self.stdout, self.stderr = process.returncode, process.stdout, process.stderr
        self.summary = (folder / "summary").read_text(encoding="utf-8")
        self.output = dict(
            line.split("=", 1)
            for line in (folder / "output").read_text(encoding="utf-8").splitlines()
        )

    @property
    def commands(self):
        """The workflow commands that the runner takes: those outside stop-commands."""
        kept, token = [], None
        for line in self.stdout.splitlines():
            if token is not None:
                token = None if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.startswith("::"):
                kept.append(line)
        assert token is None
        return kept


@pytest.fixture
def action(tmp_path):
    """Run the second step with inputs, as an action that lies in the checkout."""
    for name, made in (
        ("model", model()),
        ("same", model()),
        ("other", model("Abs")),
        ("hostile", model("Abs", HOSTILE)),
        ("hostile_original", model("Relu", HOSTILE)),
    ):
        onnx.save(made, tmp_path / f"{name}.onnx")
    (tmp_path / "files").mkdir()

    def run(original="model.onnx", candidate="same.onnx", **inputs):
        given = {"original": original, "candidate": candidate, "providers": "cpu", **inputs}
        env = {
            key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given.get(m[1], ""), value)
            for key, value in STEPS[1]["env"].items()
        }
        for name in ("summary", "output"):
            (tmp_path / "files" / name).write_text("")
        env |= {
            "GITHUB_STEP_SUMMARY": str(tmp_path / "files/summary"),
            "GITHUB_OUTPUT": str(tmp_path / "files/output"),
            "GITHUB_WORKSPACE": str(tmp_path),
            "GITHUB_ACTION_PATH": str(ROOT),
            "RUNNER_TEMP": str(tmp_path / "files"),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }
        process = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[1]["run"]],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
        )
        return Ran(process, tmp_path / "files")

    return run


def test_the_same_function_passes_with_a_notice_a_summary_and_a_report(action):
    ran = action(arguments="--seed 3 --no-proof")
    assert (ran.code, ran.output["exit-code"], ran.output["verdict"]) == (0, "0", "PASS")
    (notice,) = ran.commands
    assert notice.startswith("::notice file=same.onnx,title=bnfuse verify%3A PASS::")
    assert ran.summary.startswith("### ✅ bnfuse verify: PASS\n")
    assert ran.summary.count("| <code>y</code> | 0.00e+00 | 0.00e+00 |") == 2
    assert "seed 3" in ran.summary
    assert '"verdict": "PASS"' in Path(ran.output["report"]).read_text()


def test_modules_in_the_workspace_are_not_bnfuses(action, tmp_path):
    (tmp_path / "click.py").write_text("raise SystemExit(99)")
    assert action().code == 0


def test_another_function_stops_the_workflow(action):
    ran = action(candidate="other.onnx")
    assert (ran.code, ran.output["exit-code"], ran.output["verdict"]) == (1, "1", "FAIL")
    (error,) = ran.commands
    assert error.startswith("::error file=other.onnx,title=bnfuse verify%3A FAIL::cpu, ")
    assert "### ❌ bnfuse verify: FAIL" in ran.summary
    assert "&#45;&#45;localize" in ran.summary


def test_what_could_not_be_judged_leaves_with_3(action):
    ran = action(providers="cpu, coreml")
    assert (ran.code, ran.output["exit-code"], ran.output["verdict"]) == (3, "3", "INCONCLUSIVE")
    assert [line.split(" ")[0] for line in ran.commands] == ["::warning"]
    assert "| coreml | disabled | | | | | INCONCLUSIVE |" in ran.summary


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"candidate": "absent.onnx"}, "There is no file absent.onnx"),
        ({"providers": "cpuu"}, "There is no provider 'cpuu'"),
        ({"providers": "--trust"}, "There is no provider '--trust'"),
        ({"original": ""}, "original and candidate name a file each"),
        ({"candidate": " "}, "original and candidate name a file each"),
        ({"original": "--help"}, "--help does not exist"),
        ({"arguments": "--model 'x"}, "arguments cannot be read: No closing quotation"),
        ({"arguments": "--json=x.json"}, "leave --json out"),
        ({"arguments": "--sed 1"}, "No such option"),
        ({"arguments": "--help"}, "bnfuse wrote no report"),
        ({"arguments": "-qh"}, "bnfuse wrote no report"),
        ({"arguments": "--seed 1; touch owned"}, "is not a valid integer range"),
        ({"arguments": "$(touch owned) `touch owned`"}, "Got unexpected extra arguments"),
        ({"original": '"; touch owned; "'}, "does not exist"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_2(action, inputs, said, tmp_path):
    ran = action(**inputs)
    assert (ran.code, ran.output["exit-code"], ran.output["verdict"]) == (2, "2", "")
    (error,) = ran.commands
    assert error.startswith("::error title=bnfuse verify::")
    assert said in error
    assert ran.summary.startswith("### ❌ bnfuse verify: error\n")
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "owned").exists()


def test_names_in_a_model_are_neither_commands_nor_markup(action):
    ran = action("hostile_original.onnx", "hostile.onnx")
    assert ran.code == 1
    assert len(ran.commands) == 1
    assert ran.commands[0].startswith("::error file=hostile.onnx,title=bnfuse verify%3A FAIL::cpu,")
    assert "<img" not in ran.summary
    cell = "y&#96;&#124;&#60;img src&#61;x onerror&#61;alert&#40;1&#41;&#62; &#58;&#58;error"
    assert cell in ran.summary
    assert not [line for line in ran.summary.splitlines() if line.startswith(("::", "# "))]


def test_names_of_files_are_neither_commands_nor_markup(action, tmp_path):
    name = "a,b::`<b>`\n::error::owned|.onnx"
    (tmp_path / "same.onnx").rename(tmp_path / name)
    ran = action(candidate=name)
    assert ran.code == 0
    assert [line.split(" ")[0] for line in ran.commands] == ["::notice"]
    assert "<b>" not in ran.summary
    assert list(ran.output) == ["verdict", "exit-code", "report"]


def test_no_input_is_part_of_a_command_line():
    assert all("${{" not in step["run"] and step["shell"] == "bash" for step in STEPS)


def test_every_input_reaches_the_script_and_every_output_comes_from_it():
    passed = {value for step in STEPS for value in step["env"].values()}
    assert passed == {f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}
    script = (ROOT / "action/run.py").read_text()
    for name in ("original", "candidate", "providers", "arguments", "version"):
        assert f'given("{name.upper()}")' in script
    for name in ACTION["outputs"]:
        assert f"{name}={{" in script


def test_pip_is_given_no_option_by_the_version():
    ran = subprocess.run(
        [sys.executable, ROOT / "action/run.py", "install"],
        env={"BNFUSE_VERSION": "--index-url=http://x", "BNFUSE_ORIGINAL": "model.onnx"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert ran.stdout.startswith("::error title=bnfuse verify::version '--index-url")
