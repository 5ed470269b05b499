"""The house keeps its shape: data flows one way, and nothing internal leaks out."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bnfuse

ROOT = Path(bnfuse.__file__).parent
STAGES = (
    "examples",
    "loading",
    "exporting",
    "lifting",
    "folding",
    "lowering",
    "verifying",
    "reporting",
)
SHARED = {
    "checker",
    "proving",
    "errors",
    "graph",
    "onnxfiles",
    "wording",
    "fingerprint",
    "columns",
    "packages",
    "target",
    "__version__",
}
PER_STAGE = {"progress", "pipeline", "cli", "models", "bench", "testing"}


def imported(file: Path) -> set[str]:
    """The first name below ``bnfuse`` of every import, those for type checking included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bnfuse"):
            parts = node.module.split(".")
            found.update([parts[1]] if len(parts) > 1 else [alias.name for alias in node.names])
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_what_stands_to_its_left(stage: str) -> None:
    left = set(STAGES[: STAGES.index(stage) + 1]) | SHARED
    # The loader allow-lists the classes of bnfuse.models by name and imports them by name.
    left |= {"models"} if stage == "loading" else set()
    for file in (ROOT / stage).rglob("*.py"):
        assert imported(file) <= left, f"{file.name} of {stage} imports {imported(file) - left}"


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
