"""The tutorial and the recipes for CI, as typed, in the environment that the README makes."""

from __future__ import annotations

import onnxruntime
import pytest
from pages import files, shows, typed

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
