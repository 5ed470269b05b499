"""The tutorial and the recipes for CI, as typed, in the environment that the README makes."""

from __future__ import annotations

import json

import onnx_ir
import onnxruntime
import pytest
import torch
import yaml
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


def test_the_tutorial_works_as_typed(full, tmp_path):
    follow(full, "docs/tutorial.md", tmp_path)
    assert (tmp_path / "digits.onnx").exists()


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


def test_the_recipes_for_ci_pass_what_is_right(full, recipes, tmp_path):
    assert full.run("sh ship.sh", tmp_path) == ""
    steps = yaml.safe_load(recipes[".github/workflows/model.yml"])["jobs"]["ship"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    assert lines[0].startswith("pip install vendor/")
    for line in lines[1:]:
        full.run(line, tmp_path)
    assert {"report.json", "parity.xml"} <= {file.name for file in tmp_path.iterdir()}
    code = "import test_shipped as t; [f() for n, f in vars(t).items() if n[:5] == 'test_']"
    full.run(f'python -c "{code}"', tmp_path)


@pytest.mark.usefixtures("recipes")
def test_the_recipes_for_ci_stop_at_what_is_not(full, tmp_path):
    right = tmp_path / "model.pt"
    other = net(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1))
    onnx_ir.save(bnfuse.export(right).model, tmp_path / "model.onnx")
    torch.save(other, right)
    assert full.shell("sh judge.sh", tmp_path).returncode == 1
    assert json.loads((tmp_path / "parity.json").read_text())["verdict"] == "FAIL"
    ran = full.shell("sh strict.sh", tmp_path)
    assert ran.returncode == 1
    assert "--strict: 1 of 1 norms are left" in ran.stderr


def test_the_wheel_is_named_as_the_recipe_names_it(dist):
    assert dist.wheel.name in files("docs/ci.md")[".github/workflows/model.yml"]
