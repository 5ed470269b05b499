"""What the pages type, as typed, in the environment that the README makes."""

from __future__ import annotations

import json
import shlex
import shutil

import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
import yaml
from builds import ROOT
from onnx import numpy_helper
from pages import files, shows, typed
from torch import nn

import bnfuse

pytestmark = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="the pages show what is printed where there is no GPU",
)


def follow(environment, page, where):
    """Write the files that a page gives and type what it types, comparing what is printed."""
    for name, text in files(page).items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text)
    for one in typed(page):
        printed = environment.run(f"exec 2>&1\n{one.command}", where)
        assert shows(one.output, printed), f"$ {one.command}\n{printed}"


@pytest.mark.parametrize("page", ["tutorial", "reading", "deployment", "untrusted"])
def test_a_page_that_brings_its_own_files_works_as_typed(served, page, tmp_path):
    follow(served, f"docs/{page}.md", tmp_path)
    assert [*tmp_path.glob("*.onnx")]


def test_the_proofs_are_found_and_checked_as_typed(served, tmp_path):
    """On the net of the quick start, and on a fold of which one weight is another one."""
    served.run("bnfuse train scratch-cnn --epochs 1 -q", tmp_path)
    served.run("bnfuse export scratch-cnn.pt -o model.onnx --no-verify -q", tmp_path)
    served.run("bnfuse fold model.onnx -o model.folded.onnx --no-verify -q", tmp_path)
    changed = onnx.load(tmp_path / "model.folded.onnx")
    weight = next(
        one for one in changed.graph.initializer if one.name == "layers.3.conv.weight.folded"
    )
    numbers = numpy_helper.to_array(weight).copy()
    numbers[7, 12, 1, 0] += 1e-5
    weight.CopyFrom(numpy_helper.from_array(numbers, weight.name))
    onnx.save(changed, tmp_path / "changed.onnx")
    follow(served, "docs/proof.md", tmp_path)


@pytest.mark.parametrize("page", ["inspect", "cli"])
def test_the_pages_of_the_command_line_work_as_typed(served, tmp_path, page):
    follow(served, f"docs/{page}.md", tmp_path)


def test_the_page_of_a_report_is_made_as_typed(served, tmp_path):
    torch.save(net(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), tmp_path / "model.pt")
    served.run("bnfuse export model.pt -o model.onnx --no-verify -q", tmp_path)
    for one in typed("docs/report.md"):
        served.run(one.command, tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.fixture
def recipes(tmp_path):
    """The recipes' files, beside the model that they are about."""
    found = files("docs/ci.md")
    for name in (name for name in found if "/" not in name):
        (tmp_path / name).write_text(found[name])
    torch.save(net(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), tmp_path / "model.pt")
    return found


def net(*layers):
    torch.manual_seed(len(layers))
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias)
    return nn.Sequential(*layers).eval()


def test_the_recipes_for_ci_pass_what_is_right(served, recipes, tmp_path):
    assert served.run("sh ship.sh", tmp_path) == ""
    steps = yaml.safe_load(recipes[".github/workflows/model.yml"])["jobs"]["ship"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    assert lines[0].startswith("pip install vendor/")
    for line in lines[1:]:
        served.run(line, tmp_path)
    assert {"report.json", "parity.xml"} <= {file.name for file in tmp_path.iterdir()}
    for one in typed("docs/ci.md"):
        if one.heading != "pytest":
            served.run(one.command, tmp_path)
    (hook,) = yaml.safe_load(recipes[".pre-commit-config.yaml"])["repos"][0]["hooks"]
    served.run(f"bnfuse-pre-commit {shlex.join(hook['args'])} model.onnx", tmp_path)
    code = "import test_shipped as t; [f() for n, f in vars(t).items() if n[:5] == 'test_']"
    served.run(f'python -c "{code}"', tmp_path)


@pytest.mark.skipif(shutil.which("jq") is None, reason="the page reads reports with jq")
@pytest.mark.usefixtures("recipes")
def test_the_report_is_read_as_typed(served, tmp_path):
    follow(served, "docs/json.md", tmp_path)


@pytest.mark.usefixtures("recipes")
def test_the_script_tells_the_exit_codes_apart(served, tmp_path):
    (script,) = files("docs/exit-codes.md").values()
    (tmp_path / "judge_by_code.sh").write_text(script)
    onnx_ir.save(bnfuse.export(tmp_path / "model.pt").model, tmp_path / "model.onnx")
    assert served.run("sh judge_by_code.sh", tmp_path).strip() == "cannot be judged like this"
    shutil.copy(tmp_path / "model.onnx", tmp_path / "candidate.onnx")
    assert served.run("sh judge_by_code.sh", tmp_path).strip() == "ship it"


def test_the_action_is_given_inputs_that_it_has():
    steps = yaml.safe_load(files("docs/ci.md")[".github/workflows/judge.yml"])["jobs"]["judge"][
        "steps"
    ]
    (used,) = [step["with"] for step in steps if step["uses"] == "./vendor/bnfuse"]
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert used.keys() <= action["inputs"].keys()
    needed = {name for name, one in action["inputs"].items() if one.get("required")}
    assert needed <= used.keys()


@pytest.mark.usefixtures("recipes")
def test_the_recipes_for_ci_stop_at_what_is_not(served, tmp_path):
    right = tmp_path / "model.pt"
    other = net(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1))
    onnx_ir.save(bnfuse.export(right).model, tmp_path / "model.onnx")
    torch.save(other, right)
    assert served.shell("sh judge.sh", tmp_path).returncode == 1
    assert json.loads((tmp_path / "parity.json").read_text())["verdict"] == "FAIL"
    ran = served.shell("sh strict.sh", tmp_path)
    assert ran.returncode == 1
    assert "--strict: 1 of 1 norms are left" in ran.stderr


def test_the_wheel_is_named_as_the_recipe_names_it(dist):
    assert dist.wheel.name in files("docs/ci.md")[".github/workflows/model.yml"]
