"""Options that several commands share, spelt once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["load_options", "provider_option", "verbosity_options"]

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
