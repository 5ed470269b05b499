"""``bnfuse inspect``: what is in a model, and what a fold would do to it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bnfuse.cli.completion import ANY_MODEL
from bnfuse.cli.console import Terminal, results_only
from bnfuse.cli.options import load_options, verbosity_options
from bnfuse.cli.output import check_outputs, write_json
from bnfuse.cli.report import JsonCommand, document
from bnfuse.target import STDOUT

__all__ = ["inspect"]


@contextmanager
def _few_collections() -> Iterator[None]:
    """Little of what is imported and read here is garbage before the end: a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@click.command(cls=JsonCommand)
@click.argument("source", type=ANY_MODEL)
@click.argument("other", required=False, type=ANY_MODEL)
@load_options
@click.option("--json", "json_file", metavar="FILE", help="Write what was found; - is stdout.")
@verbosity_options
@_few_collections()
def inspect(
    source: Path,
    other: Path | None,
    json_file: str | None,
    quiet: bool,
    verbosity: int,
    **load: Any,
) -> int:
    """Say what is in SOURCE and what a fold would do to it; write no model.

    Of a model file of PyTorch: its modules, and what it wants to import, without running any of
    it; then the plan of a fold, where the file loads with the options given. With OTHER: what
    became of each op of SOURCE in it.

    \b
    Examples:
      bnfuse inspect model.onnx
      bnfuse inspect model.pt --json found.json
      bnfuse inspect model.onnx model.folded.onnx
    """
    from bnfuse.inspecting import compare
    from bnfuse.inspecting import inspect as look
    from bnfuse.inspecting.text import render, render_comparison
    from bnfuse.loading import LoadOptions

    paths = [source] if other is None else [source, other]
    check_outputs({"--json": json_file}, {f"{str(p)!r}, which is inspected": p for p in paths})
    terminal = Terminal(quiet or json_file == STDOUT, verbosity)
    with results_only():
        found = [look(path, LoadOptions(**load), progress=terminal) for path in paths]
    comparison = None
    if len(found) == 2 and found[0].model is not None and found[1].model is not None:
        comparison = compare(found[0].model, found[1].model)
    if comparison is not None:
        render_comparison(comparison, found, terminal.out, verbosity)
    for seen in found if comparison is None else ():
        render(seen, terminal.out, verbosity)
    hostile = next((seen.blocked for seen in found if seen.is_hostile), None)
    if hostile is not None:
        raise hostile
    for seen in found:
        if seen.blocked is not None:
            terminal.out.print(
                f"no plan: {seen.blocked}", markup=False, highlight=False, soft_wrap=True
            )
    if json_file is not None:
        data = {
            "inspected": [seen.to_json() for seen in found],
            "comparison": None if comparison is None else comparison.to_json(),
        }
        write_json(document("inspect", 0, data), json_file)
    return 0
