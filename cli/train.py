"""``bnfuse train``: train a net on real digits, or compare it with itself without its norm."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfuse.cli.completion import complete_net
from bnfuse.cli.console import Terminal
from bnfuse.cli.output import check_outputs
from bnfuse.errors import UsageError
from bnfuse.packages import require
from bnfuse.target import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from bnfuse.models.comparison import Comparison
    from bnfuse.models.norms import NormKind
    from bnfuse.models.training import Epoch, Schedule, Training

__all__ = ["train"]

_COMPARED = "scratch-cnn"


@click.command()
@click.argument("name", required=False, shell_complete=complete_net)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, - for stdout; NAME.pt by default, NAME.png with --compare.",
)
@click.option("--list", "list_nets", is_flag=True, help="List the nets and exit.")
@click.option(
    "--compare", is_flag=True, help=f"Train with and without norm and plot both ({_COMPARED})."
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--lr", type=float, help="Learning rate of the first step.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Images a step.")
@click.option("--seed", type=click.IntRange(min=0), help="Of weights and order of images (0).")
@click.option(
    "--norm",
    type=click.Choice(["none", "torch", "scratch"]),
    help="Build the net with this norm in the place of its own.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("-v", "--verbose", count=True, help="Show every epoch; twice: tracebacks.")
def train(
    name: str | None,
    output: Path | None,
    list_nets: bool,
    compare: bool,
    epochs: int | None,
    lr: float | None,
    batch_size: int | None,
    seed: int | None,
    norm: NormKind | None,
    quiet: bool,
    verbose: int,
) -> None:
    """Train the net NAME on handwritten digits and save it for `bnfuse fold`.

    Epochs, learning rate and batch size have good values for each net. The digits are
    scikit-learn's 1797 real images; a fifth is held out.

    \b
    Example:
      bnfuse train scratch-cnn -o model.pt
      bnfuse train --compare deep-mlp -o plot.png
    """
    terminal = Terminal(quiet, verbose, results_on_stderr=str(output) == STDOUT)
    if list_nets:
        require("Listing the nets", "torch")
        _print_nets(terminal)
        return
    if name is None and not compare:
        raise UsageError("No net was named.", "Name one that `bnfuse train --list` lists.")
    require("Training", "torch")
    from bnfuse.models.registry import entry

    name = name or _COMPARED
    asked = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    schedule = replace(entry(name).schedule, **given)
    if compare:
        _compare(terminal, name, norm, schedule, output or Path(f"{name}.png"))
    else:
        _train(terminal, name, norm, schedule, output or Path(f"{name}.pt"))


def _train(
    terminal: Terminal, name: str, norm: NormKind | None, schedule: Schedule, output: Path
) -> None:
    from bnfuse.models.digits import load_digits
    from bnfuse.models.files import save_module
    from bnfuse.models.registry import build
    from bnfuse.models.training import train

    check_outputs({"-o": output}, {}, binary="-o")
    data = load_digits()
    net = build(name, norm, schedule.seed)
    with _progress(terminal, schedule.epochs) as report:
        training = train(
            net, schedule, data=data, on_epoch=lambda epoch: report(f"training {name}", epoch)
        )
    if training.diverged:
        raise UsageError(
            f"The training of {name} diverged: in epoch {training.last.number} the loss was no"
            " longer a number, so nothing was saved.",
            "Lower --lr, raise --batch-size, or take another --seed.",
        )
    save_module(net, output)
    _print_training(terminal, name, norm, training, len(data.held_out_labels), output)


def _compare(
    terminal: Terminal, name: str, norm: NormKind | None, schedule: Schedule, output: Path
) -> None:
    from bnfuse.models.comparison import compare
    from bnfuse.models.plotting import plot, require_matplotlib

    check_outputs({"-o": output}, {}, binary="-o")
    require_matplotlib()
    with _progress(terminal, 2 * schedule.epochs) as report:
        comparison = compare(
            name,
            norm=norm,
            schedule=schedule,
            on_epoch=lambda run, epoch: report(f"{name} {run}", epoch),
        )
    plot(comparison, output)
    _print_comparison(terminal, comparison, output)


@contextmanager
def _progress(terminal: Terminal, total: int) -> Iterator[Callable[[str, Epoch], None]]:
    """A bar over all epochs on stderr; yields what is to be called after each."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    err = terminal.err
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=err.is_terminal) as progress:
        task = progress.add_task("training", total=total, state="")

        def report(what: str, epoch: Epoch) -> None:
            state = f"loss {epoch.loss:.4f}, held out {epoch.accuracy:.1%}"
            progress.update(task, advance=1, description=what, state=state)
            if terminal.verbosity:
                err.print(f"{what}: epoch {epoch.number}, {state}", highlight=False, soft_wrap=True)

        yield report


def _print_nets(terminal: Terminal) -> None:
    from bnfuse.models.registry import REGISTRY

    table = _table()
    for title in ("net", "norm", "layers"):
        table.add_column(title, no_wrap=title != "layers", overflow="fold")
    for entry in REGISTRY:
        table.add_row(entry.name, entry.own_norm, entry.summary)
    terminal.out.print(table)


def _print_training(
    terminal: Terminal,
    name: str,
    norm: NormKind | None,
    training: Training,
    held_out: int,
    output: Path,
) -> None:
    from bnfuse.models.registry import entry

    right = round(training.last.accuracy * held_out)
    rows = {
        "net": f"{name}, norm {norm or entry(name).own_norm}",
        "epochs": f"{len(training.epochs)}",
        "loss": f"{training.last.loss:.4f}",
        "held out": f"{training.last.accuracy:.1%} right ({right} of {held_out})",
        "seconds": f"{training.seconds:.1f}",
        "file": _file(output),
    }
    following = "" if str(output) == STDOUT else shlex.join(["bnfuse", "fold", str(output)])
    _print_rows(terminal, rows, following)


def _print_comparison(terminal: Terminal, comparison: Comparison, output: Path) -> None:
    from bnfuse.models.comparison import MILESTONES

    table = _table()
    for title in (comparison.name, f"with norm ({comparison.norm})", "without"):
        table.add_column(title, no_wrap=True)
    runs = (comparison.with_norm, comparison.without)
    table.add_row("epochs", *(f"{len(run.epochs)}" for run in runs))
    for milestone in MILESTONES:
        reached = (run.epochs_to(milestone) for run in runs)
        table.add_row(f"epochs to {milestone:.0%}", *(f"{epoch or 'never'}" for epoch in reached))
    table.add_row("held out, last", *(f"{run.last.accuracy:.1%}" for run in runs))
    table.add_row("held out, best", *(f"{run.best.accuracy:.1%}" for run in runs))
    table.add_row("loss, last", *(f"{run.last.loss:.4f}" for run in runs))
    table.add_row("seconds", *(f"{run.seconds:.1f}" for run in runs))
    terminal.out.print(table)
    for finding in comparison.findings():
        terminal.out.print(finding, highlight=False, soft_wrap=True)
    rows = {"plot": _file(output)}
    _print_rows(terminal, rows, f"bnfuse train {comparison.name}")


def _print_rows(terminal: Terminal, rows: dict[str, str], following: str) -> None:
    """Print names and values by lines: a table would cut a long path to the terminal's width."""
    for name, value in {**rows, **({"next": following} if following else {})}.items():
        line = f"{name:<10}{value}"
        terminal.out.print(line, markup=False, highlight=False, soft_wrap=True)


def _table() -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _file(path: Path) -> str:
    if str(path) == STDOUT:
        return "stdout"
    return f"{path} ({path.stat().st_size / 1000:.1f} kB)"
