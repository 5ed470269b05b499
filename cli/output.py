"""Where a command's files go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bnfuse.errors import OutputError

__all__ = ["default_output", "write_json"]


def default_output(source: Path) -> Path:
    """``model.onnx`` beside ``model.pt``; ``model.folded.onnx`` beside ``model.onnx``."""
    if source.suffix == ".onnx":
        return source.with_suffix(".folded.onnx")
    return source.with_suffix(".onnx")


def write_json(data: dict[str, Any], file: str) -> None:
    """Write ``data`` to a file, or to stdout for ``-``.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json.dumps(data, indent=2)
    if file == "-":
        click.echo(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{file!r} cannot be written: {error.strerror}.", "Give another path with --json."
        ) from error
