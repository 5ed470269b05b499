"""What a person installs, away from the checkout: the README as typed, and every way in."""

from __future__ import annotations

import json

import pytest
from builds import held_by
from nightly import NIGHTLY
from pages import shows, typed

import bnfuse
from bnfuse.models import names

README = [one for one in typed("README.md") if one.heading == "Quick start"]


@pytest.fixture(scope="session")
def quick_start(full, tmp_path_factory):
    """Where the README's commands were typed, and the output of each."""
    where = tmp_path_factory.mktemp("quick_start")
    typed_here = [one for one in README if one.command.startswith("bnfuse ")]
    return where, {one: full.run(f"exec 2>&1\n{one.command}", where) for one in typed_here}


def test_every_module_is_the_wheels(full, dist, tmp_path):
    code = (
        "import importlib, json, pkgutil, bnfuse\n"
        "found = {}\n"
        "for one in pkgutil.walk_packages(bnfuse.__path__, 'bnfuse.'):\n"
        "    if one.name != 'bnfuse.pytest_plugin':\n"
        "        found[one.name] = importlib.import_module(one.name).__file__\n"
        "print(json.dumps(found))\n"
    )
    (tmp_path / "walk.py").write_text(code)
    modules = json.loads(full.run("python walk.py", tmp_path))
    assert all(file.startswith(f"{full.site}/bnfuse/") for file in modules.values()), modules
    inside = {file.removeprefix(f"{full.site}/") for file in modules.values()}
    python = {name for name in held_by(dist.wheel) if name.endswith(".py")}
    assert python - inside == {"bnfuse/__init__.py", "bnfuse/pytest_plugin.py"}


def test_the_installed_files_are_the_wheels(full, dist):
    held = held_by(dist.wheel)
    assert {name: (full.site / name).read_bytes() for name in held} == held


def test_the_quick_start_works_as_typed(quick_start):
    where, outputs = quick_start
    assert len(outputs) >= 2
    assert (where / "model.pt").exists()
    assert (where / "model.onnx").exists()


@pytest.mark.parametrize("one", [one for one in README if one.output], ids=lambda one: one.command)
def test_the_readme_shows_what_is_printed(quick_start, one):
    _, outputs = quick_start
    assert shows(one.output, outputs[one]), outputs[one]


@pytest.mark.parametrize("way", ["bnfuse", "python -m bnfuse"])
def test_every_way_in_is_the_same_command(full, way, quick_start):
    where, _ = quick_start
    version = full.run(f"{way} --version", where)
    assert version.endswith(f"bnfuse, version {bnfuse.__version__}\n")
    for command in ("fold", "export", "verify", "bench", "train", "schema"):
        assert "Usage: " in full.run(f"{way} {command} --help", where)
    assert "PASS" in full.run(f"{way} verify model.pt model.onnx", where)


@pytest.mark.slow
def test_every_net_that_train_lists_is_trained_and_folded(served, tmp_path):
    # The hundred layers of deep-mlp take as long as all others, and differ in no file of the wheel.
    nets = [name for name in names() if NIGHTLY or name != "deep-mlp"]
    listed = served.run("bnfuse train --list", tmp_path)
    assert all(f"\n{name} " in listed for name in names())
    code = (
        "import sys\n"
        "from bnfuse.cli.main import main\n"
        "for name in sys.argv[1:]:\n"
        "    for line in (['train', name, '--epochs', '1', '-q'], ['fold', f'{name}.pt', '-q']):\n"
        "        try:\n"
        "            main(line)\n"
        "        except SystemExit as end:\n"
        "            assert not end.code, (line, end.code)\n"
    )
    (tmp_path / "all.py").write_text(code)
    served.run(f"python all.py {' '.join(nets)}", tmp_path)
    assert {file.stem for file in tmp_path.glob("*.onnx")} == {*nets}
