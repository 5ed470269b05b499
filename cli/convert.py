"""What ``bnfuse fold`` and ``bnfuse export`` share: everything but the folding."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bnfuse.cli.console import Terminal, results_only
from bnfuse.cli.options import (
    judged_by,
    judging_options,
    load_options,
    provider_option,
    verbosity_options,
)
from bnfuse.cli.output import (
    check_name,
    check_outputs,
    default_output,
    write_formats,
    write_json,
)
from bnfuse.cli.report import document
from bnfuse.errors import OutputError, UsageError
from bnfuse.target import STDOUT, stdout_bytes

if TYPE_CHECKING:
    from bnfuse.pipeline import Folded
    from bnfuse.reporting import Report

__all__ = ["convert", "convert_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("source", type=click.Path(path_type=Path)),
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="The file to write; - is stdout.",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Without -o: replace a file that bnfuse did not write from SOURCE.",
    ),
    click.option("--no-clobber", is_flag=True, help="Replace no file that is there, -o or not."),
    load_options,
    click.option("--opset", type=int, help="The ONNX operator set to export to."),
    provider_option,
    click.option("--no-verify", is_flag=True, help="Write the result without proving it."),
    judging_options,
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
    force: bool,
    no_clobber: bool,
    json_file: str | None,
    junit: str | None,
    github: bool,
    inputs: str | None,
    ranges: tuple[str, ...],
    truth_budget: float | None,
    require_proof: bool,
    no_proof: bool,
    quiet: bool,
    verbosity: int,
    strict: bool = False,
    **options: Any,
) -> int:
    """Run the pipeline, print its report, and return the exit code."""
    from bnfuse.pipeline import convert as run

    given = default_output(source) if output is None else output
    if force and no_clobber:
        raise UsageError("--force and --no-clobber say opposite things.", "Leave one out.")
    check_outputs(
        {"-o": given, "--json": json_file, "--junit": junit},
        {"the source itself": source, "the inputs' file": inputs},
        binary="-o",
        clobber=not no_clobber,
    )
    judging = judged_by(inputs, ranges, truth_budget, require_proof, no_proof)
    if no_verify and (inputs or ranges or junit or github or require_proof):
        raise UsageError(
            "--no-verify leaves out what --inputs, --range, --require-proof, --junit and --github "
            "are about.",
            "Leave --no-verify out, or them.",
        )
    streamed = str(given) == STDOUT
    if not streamed:
        aside = given.with_name(f"{given.stem}.unverified.onnx")
        for name in (aside, *(() if output is not None else (given,))):
            check_name(name, source, force)
    terminal = Terminal(
        quiet or STDOUT in (json_file, junit), verbosity, results_on_stderr=streamed
    )
    with _place(given) as path:
        with results_only():
            converted = run(
                source,
                folding=folding,
                output=path,
                verified=not no_verify,
                progress=terminal,
                judging=judging,
                **options,
            )
        report = _sent(converted) if streamed else converted.report
    report = replace(report, load_flags=_load_flags(options))
    if not terminal.quiet:
        from bnfuse.reporting.text import render

        render(report, terminal.out, verbosity)
    code = 0 if report.verification is None else report.verification.verdict.exit_code
    left = sum(not norm.folded for norm in report.norms) if strict else 0
    if left:
        terminal.say(
            f"--strict: {left} of {len(report.norms)} norms are left; what was verified is kept"
        )
    if code and terminal.quiet:
        assert report.verification is not None
        kept = f"; the candidate is {report.output}" if report.output else ""
        terminal.say(f"{report.verdict}: {report.verification.reason}{kept}")
    code = code or int(left > 0)
    if json_file is not None:
        write_json(document("fold" if folding else "export", code, report.to_json()), json_file)
    if report.verification is not None:
        taken = streamed or json_file == STDOUT
        write_formats(report.verification, str(given), junit, github, taken=taken)
    return code


def _load_flags(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The options that ``bnfuse verify`` needs to load the same source."""
    flags: list[str] = []
    for name in ("input_shapes", "dtype", "model", "allow", "weights", "trust"):
        value, flag = options.get(name), f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif isinstance(value, tuple):
            flags += [word for item in value for word in (flag.removesuffix("s"), item)]
        elif value is not None and value is not False:
            flags += [flag, value]
    return tuple(flags)


@contextmanager
def _place(given: Path) -> Iterator[Path]:
    """Where the pipeline writes: the path itself, or for stdout a file that is sent there."""
    if str(given) != STDOUT:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bnfuse-") as folder:
        yield Path(folder, "model.onnx")


def _sent(converted: Folded) -> Report:
    """The report, after the model went to stdout if it passed."""
    path, report = converted.path, converted.report
    assert path is not None
    if report.verification is not None and report.verification.verdict.exit_code:
        return replace(report, output=None)
    from bnfuse.onnxfiles.write import targets

    if targets(path)[1].exists():
        raise OutputError(
            "the model is too large for one file, so stdout cannot take it.",
            "Name a file with -o.",
        )
    with path.open("rb") as file, stdout_bytes() as stdout:
        shutil.copyfileobj(file, stdout)
    return replace(report, output=STDOUT)
