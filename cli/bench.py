"""``bnfuse bench``: which of these ONNX files is faster, and is the difference one?"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfuse.cli.completion import ONNX_MODEL, complete_provider
from bnfuse.cli.console import Terminal
from bnfuse.cli.output import check_outputs, write_json
from bnfuse.cli.report import JsonCommand, document, files_json
from bnfuse.target import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["bench"]


@click.command(cls=JsonCommand)
@click.argument("models", nargs=-1, required=True, type=ONNX_MODEL)
@click.option(
    "--provider",
    default="cpu",
    show_default=True,
    shell_complete=complete_provider,
    help="Where to run.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Inside an op."
)
@click.option("--batch", type=click.IntRange(1), help="Of a dynamic first dimension.  [default: 1]")
@click.option(
    "--input-shape",
    "input_shapes",
    metavar="SHAPE",
    multiple=True,
    help="Sizes of dynamic dimensions, as in 1,3,224,224 or name=SHAPE; repeatable.",
)
@click.option(
    "--rounds",
    type=click.IntRange(6),
    default=50,
    show_default=True,
    help="Visits to each model that count.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the inputs."
)
@click.option("--no-memory", is_flag=True, help="Leave out the peak memory.")
@click.option("--json", "json_file", metavar="FILE", help="Write the numbers; - is stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "verbosity", count=True, help="-vv shows tracebacks.")
def bench(
    models: tuple[Path, ...],
    rounds: int,
    no_memory: bool,
    json_file: str | None,
    quiet: bool,
    verbosity: int,
    **options: Any,
) -> int:
    """Time each MODEL (an ONNX file) against the first.

    All run in one process on the same inputs, in turns, and no session spins while another is
    timed. A difference counts if it is larger than that between two sessions of the first model.

    \b
    Examples:
      bnfuse bench model.onnx model.folded.onnx
      bnfuse bench *.onnx --threads 4 --batch 8 --json times.json
    """
    from bnfuse.bench import compare
    from bnfuse.bench.text import render

    check_outputs(
        {"--json": json_file}, {f"{str(model)!r}, which is timed": model for model in models}
    )
    terminal = Terminal(quiet or json_file == STDOUT, verbosity)
    with _progress(terminal, rounds) as after_round:
        comparison = compare(
            models, rounds=rounds, memory=not no_memory, after_round=after_round, **options
        )
    render(comparison, terminal.out)
    if json_file is not None:
        data = comparison.to_json()
        for timed in data["models"]:
            timed["files"] = files_json(Path(timed["path"]))
        write_json(document("bench", 0, data), json_file)
    return 0


@contextmanager
def _progress(terminal: Terminal, rounds: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where a person sees it; yields what is to be called after each round."""
    from rich.progress import Progress

    err = terminal.err
    if not err.is_terminal:
        yield lambda _: None
        return
    # A live display's refresh thread would run beside what is timed.
    with Progress(console=err, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("timing", total=rounds)

        def after_round(number: int) -> None:
            progress.update(task, completed=number, refresh=True)

        yield after_round
