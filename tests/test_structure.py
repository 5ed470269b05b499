"""The house keeps its shape: data flows one way, and nothing internal leaks out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import bnfuse

ROOT = Path(bnfuse.__file__).parent
HOMES = {
    "bnfuse": ROOT,
    "bnfuse.cli": Path(find_spec("bnfuse.cli").origin).parent,
    "bnfuse.models": Path(find_spec("bnfuse.models").origin).parent,
}
STAGES = (
    "graph",
    "onnxfiles",
    "examples",
    "loading",
    "exporting",
    "lifting",
    "folding",
    "lowering",
    "verifying",
    "reporting",
)
SHARED = {"checker", "columns", "errors", "fingerprint", "packages", "proving", "target"}
# `page` makes HTML of plain data: a result of any stage shows itself in a notebook.
SHARED |= {"page", "suggestion", "verdict", "version", "wording"}


def modules() -> dict[str, Path]:
    """The file of each module, by its dotted name."""
    found = {}
    for name, home in HOMES.items():
        for file in home.rglob("*.py"):
            parts = (name, *file.relative_to(home).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imports(file: Path, known: dict[str, Path]) -> set[str]:
    """The modules of bnfuse that a file imports anywhere, for type checking included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bnfuse":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
    return found


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    """What each module imports."""
    known = modules()
    return {name: imports(file, known) - {name} for name, file in known.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_what_stands_to_its_left(
    stage: str, arrows: dict[str, set[str]]
) -> None:
    left = set(STAGES[: STAGES.index(stage) + 1]) | SHARED
    for name, imported in arrows.items():
        if name.split(".")[1:2] == [stage]:
            assert {other.split(".")[1] for other in imported} <= left, name


def test_no_modules_import_each_other_in_a_circle(arrows: dict[str, set[str]]) -> None:
    assert list(TopologicalSorter(arrows).static_order())


def test_no_wings_import_each_other_in_a_circle(arrows: dict[str, set[str]]) -> None:
    wings = {name for name, file in modules().items() if file.name == "__init__.py"} - {"bnfuse"}

    def wing(name: str) -> str:
        return name if name in wings else name.rpartition(".")[0]

    between: dict[str, set[str]] = {}
    for name in arrows:
        for here, there in ((wing(name), wing(other)) for other in arrows[name]):
            # What a wing has beside its sub-packages, they may use.
            apart = not (f"{here}.".startswith(f"{there}.") or f"{there}.".startswith(f"{here}."))
            if apart and {here, there} <= wings:
                between.setdefault(here, set()).add(there)
    assert list(TopologicalSorter(between).static_order())


def test_the_map_of_the_house_names_every_folder_that_there_is() -> None:
    page = ROOT.parent / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("the documentation is not installed")
    named = set(re.findall(r"^\| `([a-z/]+)/` \|", page.read_text(encoding="utf-8"), re.MULTILINE))
    packages = {name for name, file in modules().items() if file.name == "__init__.py"}
    beside = {"bnfuse.cli": "cli", "bnfuse.models": "models"}
    assert named == {beside.get(name, name.replace(".", "/")) for name in packages - {"bnfuse"}}


def test_the_checker_of_proofs_imports_nothing_of_what_it_judges(
    arrows: dict[str, set[str]],
) -> None:
    for name, imported in arrows.items():
        if name.startswith("bnfuse.checker"):
            assert all(other.startswith("bnfuse.checker") for other in imported), name


def test_importing_bnfuse_costs_nothing() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "onnx_ir", "numpy", "rich", "click")
    code = f"import bnfuse, sys; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_public_names_are_what_they_are_called_however_often_they_are_asked_for() -> None:
    code = (
        "import bnfuse\n"
        "first = bnfuse.fold\n"
        "assert all(callable(getattr(bnfuse, name)) for name in ('load', 'export', 'verify'))\n"
        "assert bnfuse.fold is first and callable(first)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_resolves() -> None:
    for name in bnfuse.__all__:
        assert getattr(bnfuse, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = bnfuse.nonsense


def test_nothing_called_cli_or_models_is_installed_at_top_level() -> None:
    code = "import importlib.util as u; print(u.find_spec('cli'), u.find_spec('models'))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert ran.stdout.strip() == "None None"
