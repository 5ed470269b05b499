"""Options that several commands share, spelt once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bnfuse.cli.completion import complete_provider
from bnfuse.errors import UsageError

__all__ = ["judged_by", "judging_options", "load_options", "provider_option", "verbosity_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_LOAD = (
    click.option(
        "--input-shape",
        "input_shapes",
        metavar="SHAPE",
        multiple=True,
        help="As in N,3,224,224; a letter is dynamic (N:4 gives its example size); "
        "several inputs: repeat it as name=SHAPE.",
    ),
    click.option("--dtype", metavar="DTYPE", help="The example input's dtype, as in int64."),
    click.option(
        "--model",
        metavar="MODULE:FACTORY",
        help="What builds the architecture of a state_dict or safetensors file.",
    ),
    click.option(
        "--weights",
        metavar="NAME",
        help="Which of several models in a checkpoint, as in ema.",
    ),
    click.option(
        "--allow",
        metavar="MODULE.CLASS",
        multiple=True,
        help="A class that the file may import, or package.* for its modules; repeatable.",
    ),
    click.option(
        "--trust", is_flag=True, help="Let the file run its own code (TorchScript, .pt2, legacy)."
    ),
)


_JUDGING = (
    click.option("--inputs", metavar="FILE.npz", help="Compare on these data; nothing is made up."),
    click.option(
        "--range",
        "ranges",
        metavar="NAME=LO,HI",
        multiple=True,
        help="The values that an input may have; repeatable.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the inputs."
    ),
    click.option(
        "--truth-budget",
        metavar="SECONDS",
        type=float,
        help="For the float64 run of the original; then truth is estimated.  [default: 300]",
    ),
    click.option("--require-proof", is_flag=True, help="Pass nothing that is not proved equal."),
    click.option("--no-proof", is_flag=True, help="Look for no proof; judge by samples alone."),
    click.option("--junit", metavar="FILE", help="Write JUnit XML; - is stdout."),
    click.option("--github", is_flag=True, help="Print GitHub annotations."),
)


def judging_options(command: Command) -> Command:
    """What a verification compares on, and in which formats it answers."""
    for option in reversed(_JUDGING):
        command = option(command)
    return command


def judged_by(
    inputs: str | None,
    ranges: tuple[str, ...],
    truth_budget: float | None,
    require_proof: bool = False,
    no_proof: bool = False,
) -> dict[str, Any]:
    """Return the arguments of :func:`bnfuse.verifying.verify` that these options stand for.

    Raises:
        UsageError: A range is none, or a proof is both required and left out.
    """
    if require_proof and no_proof:
        raise UsageError("--require-proof and --no-proof say opposite things.", "Leave one out.")
    found: dict[str, Any] = {"ranges": dict(_range(item) for item in ranges)}
    if require_proof or no_proof:
        found["proof"] = "require" if require_proof else "none"
    if inputs is not None:
        found["inputs"] = inputs
    if truth_budget is not None:
        found["truth_budget"] = truth_budget
    return found


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, bounds = text.rpartition("=")
    low, _, high = bounds.partition(",")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (1.0, 0.0)
    if not name or not found[0] <= found[1]:
        raise UsageError(f"--range {text!r} is not NAME=LO,HI.", "Write it as in image=0,1.")
    return name, found


def load_options(command: Command) -> Command:
    """How a source is loaded."""
    for option in reversed(_LOAD):
        command = option(command)
    return command


def provider_option(command: Command) -> Command:
    """Where parity is verified."""
    return click.option(
        "--provider",
        "providers",
        metavar="NAME",
        multiple=True,
        default=("auto",),
        shell_complete=complete_provider,
        help="auto, cpu, cuda or another execution provider; repeatable.  [default: auto]",
    )(command)


def verbosity_options(command: Command) -> Command:
    """How much is said."""
    for option in (
        click.option("-v", "verbosity", count=True, help="Say more; -vv shows tracebacks."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    ):
        command = option(command)
    return command
