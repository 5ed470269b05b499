"""``bnfuse report``: the page that ``fold --report`` writes, made of a saved JSON report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bnfuse.cli.completion import ModelFile
from bnfuse.cli.output import check_outputs, write_text
from bnfuse.errors import LoadError, UsageError
from bnfuse.suggestion import meant_file

__all__ = ["report"]

_BROKEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading data of another shape raises."""


@click.command()
@click.argument("file", metavar="RUN.json", type=ModelFile((".json",)))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="The page to write; - is stdout.  [default: beside RUN.json]",
)
@click.option(
    "--bench",
    "times",
    type=click.Path(path_type=Path),
    metavar="TIMES.json",
    help="What bnfuse bench --json wrote, for the latency.",
)
def report(file: Path, output: Path | None, times: Path | None) -> int:
    """Write a page that shows what RUN.json says.

    RUN.json is what fold, export or verify wrote with --json. With fold --detailed it holds what
    the drawing of the net and the plots of the norms are made of.

    \b
    Examples:
      bnfuse fold model.onnx --json run.json --detailed
      bnfuse bench model.onnx model.folded.onnx --json times.json
      bnfuse report run.json --bench times.json -o report.html
    """
    from bnfuse.page import is_page, report_page

    place = file.with_suffix(".html") if output is None else output
    read = {"the report itself": file, "the times' file": times}
    check_outputs({"-o": place}, read)
    if output is None and place.exists() and not is_page(place):
        raise UsageError(
            f"{str(place)!r} is there already, and is no page of bnfuse's.",
            "Name a file with -o.",
        )
    run, bench = _read(file), None if times is None else _read(times)
    try:
        page = report_page(run, bench)
    except _BROKEN as error:
        raise LoadError(
            f"{str(file)!r} is not as bnfuse writes it: {type(error).__name__}: {error}.",
            "Give what bnfuse fold --json wrote.",
        ) from error
    write_text(page, str(place), "-o")
    return 0


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(
            f"{str(file)!r} cannot be read: {error.strerror}.", meant_file(file)
        ) from error
    except (ValueError, RecursionError) as error:
        raise LoadError(
            f"{str(file)!r} cannot be read as JSON: {error}.", "Give what bnfuse fold --json wrote."
        ) from error
    if not isinstance(data, dict):
        raise LoadError(f"{str(file)!r} holds no report.", "Give what bnfuse fold --json wrote.")
    return data
