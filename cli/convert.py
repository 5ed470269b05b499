"""What ``bnfuse fold`` and ``bnfuse export`` share: everything but the folding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bnfuse.cli.console import Terminal, results_only
from bnfuse.cli.options import load_options, provider_option, verbosity_options
from bnfuse.cli.output import default_output, write_json

__all__ = ["convert", "convert_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("source", type=click.Path(path_type=Path)),
    click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write."),
    load_options,
    click.option("--opset", type=int, help="The ONNX operator set to export to."),
    provider_option,
    click.option("--no-verify", is_flag=True, help="Write the result without proving it."),
    click.option("--json", "json_file", metavar="FILE", help="Write the report; - is stdout."),
    verbosity_options,
)


def convert_options(command: Command) -> Command:
    """The argument and the options of both commands."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def convert(
    source: Path,
    *,
    folding: bool,
    output: Path | None,
    no_verify: bool,
    json_file: str | None,
    quiet: bool,
    verbosity: int,
    **options: Any,
) -> int:
    """Run the pipeline, print its report, and return the exit code."""
    from bnfuse.pipeline import convert as run

    terminal = Terminal(quiet or json_file == "-", verbosity)
    with results_only():
        converted = run(
            source,
            folding=folding,
            output=output or default_output(source),
            verified=not no_verify,
            progress=terminal,
            **options,
        )
    report = converted.report
    if not terminal.quiet:
        from bnfuse.reporting.text import render

        render(report, terminal.out, verbosity)
    if json_file is not None:
        write_json(report.to_json(), json_file)
    return 0 if report.verification is None else report.verification.verdict.exit_code
