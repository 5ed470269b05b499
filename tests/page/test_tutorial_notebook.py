"""The tutorial notebook runs, cell by cell, and shows what it was saved with."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def run_cell(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell as a notebook does: what is printed, and what its last expression shows."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed, shown = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if shown is not None:
        data = {"text/html": shown._repr_html_().splitlines(keepends=True)}
        found = {"data": data, "metadata": {}, "output_type": "execute_result"}
        outputs.append(found | {"execution_count": None})
    return outputs


def words(outputs: list[dict[str, Any]]) -> list[str]:
    """What a reader sees of outputs, without the numbers, which differ between machines."""
    found = []
    for output in outputs:
        text = "".join(output.get("text") or output["data"]["text/html"])
        text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]*>", " ", text, flags=re.S)
        found.append(re.sub(r"[\s\d.,−+e-]+", " ", text))
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="the notebook shows what is printed where there is no GPU",
)
def test_it_runs_and_shows_what_it_was_saved_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="the tutorial trains on scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            outputs = run_cell("".join(cell["source"]), names)
            assert words(outputs) == words(cell["outputs"]), cell["source"][0]
    assert names["folded"].report.verdict == "PASS"
    assert all(norm.folded for norm in names["folded"].report.norms)
    assert names["accuracy"] > 0.8
    assert (tmp_path / "digits.onnx").is_file()
