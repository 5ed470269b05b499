"""What ``bnfuse fold`` and ``bnfuse export`` share: everything but the folding."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bnfuse.cli.completion import ANY_MODEL
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
    write_text,
)
from bnfuse.cli.report import document
from bnfuse.errors import OutputError, UsageError
from bnfuse.target import STDOUT, stdout_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.loading import LoadOptions
    from bnfuse.pipeline import Folded
    from bnfuse.reporting import Report

__all__ = ["convert", "convert_options"]

_ROUNDS = 30
"""Visits to each model for the page."""

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("source", type=ANY_MODEL),
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
    providers: tuple[str, ...],
    seed: int,
    opset: int | None,
    localize: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    report_file: str | None = None,
    timed: bool = False,
    detailed: bool = False,
    **load: Any,
) -> int:
    """Run the pipeline, print its report, and return the exit code."""
    from bnfuse.loading import LoadOptions

    if dry_run:
        useless = {
            "-o": output, "--force": force, "--no-clobber": no_clobber, "--junit": junit,
            "--github": github, "--inputs": inputs, "--range": ranges,
            "--require-proof": require_proof, "--localize": localize, "--report": report_file,
            "--bench": timed,
        }  # fmt: skip
        terminal = Terminal(quiet or json_file == STDOUT, verbosity)
        return _dry_run(source, useless, json_file, terminal, strict, opset, LoadOptions(**load))
    from bnfuse.pipeline import convert as run

    given = default_output(source) if output is None else output
    if force and no_clobber:
        raise UsageError("--force and --no-clobber say opposite things.", "Leave one out.")
    check_outputs(
        {"-o": given, "--json": json_file, "--junit": junit, "--report": report_file},
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
    if detailed and json_file is None:
        raise UsageError(
            "--detailed is about the JSON report.", "Give --json FILE too, or leave it out."
        )
    loading = LoadOptions(**load)
    if timed:
        _check_timed(source, report_file)
    taken = STDOUT in (json_file, junit, report_file)
    terminal = Terminal(quiet or taken, verbosity, results_on_stderr=streamed)
    with _place(given) as path:
        with results_only():
            converted = run(
                source,
                folding=folding,
                output=path,
                verified=not no_verify,
                progress=terminal,
                judging=judging,
                providers=providers,
                seed=seed,
                opset=opset,
                localize=localize,
                options=loading,
            )
        times = _times(source, converted, terminal) if timed else None
        report = _sent(converted) if streamed else converted.report
    report = replace(report, load_flags=loading.flags)
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
    command = "fold" if folding else "export"
    if json_file is not None:
        write_json(document(command, code, report.to_json(detailed=detailed)), json_file)
    if report_file is not None:
        from bnfuse.page import report_page

        page = report_page(document(command, code, report.to_json(detailed=True)), times)
        write_text(page, report_file, "--report")
    if report.verification is not None:
        taken = streamed or STDOUT in (json_file, report_file)
        write_formats(report.verification, str(given), junit, github, taken=taken)
    return code


def _check_timed(source: Path, report_file: str | None) -> None:
    """Refuse what --bench cannot time before any work.

    Raises:
        UsageError: There is no page to show it, or no ONNX file of what was not folded.
    """
    from bnfuse.loading import FileKind, detect

    if report_file is None:
        raise UsageError(
            "--bench is about the page of a report.",
            "Give --report FILE.html too; `bnfuse bench` times models by itself.",
        )
    if detect(source) is not FileKind.ONNX:
        raise UsageError(
            f"--bench times the source beside the folded model, and {str(source)!r} is no ONNX "
            "file.",
            "Make one with `bnfuse export` first, and fold that.",
        )


def _times(source: Path, converted: Folded, terminal: Terminal) -> dict[str, Any]:
    """What ``bnfuse bench`` measures of the source and what it became."""
    from bnfuse.bench import compare

    assert converted.path is not None
    with terminal.stage("bench") as line:
        comparison = compare(
            [source, converted.path], memory=False, after_round=lambda n: line.reached(n, _ROUNDS),
            rounds=_ROUNDS,
        )  # fmt: skip
        line.detail = f"{_ROUNDS} rounds"
    return document("bench", 0, comparison.to_json())


def _dry_run(
    source: Path,
    useless: Mapping[str, Any],
    json_file: str | None,
    terminal: Terminal,
    strict: bool,
    opset: int | None,
    loading: LoadOptions,
) -> int:
    """Say what a fold would do."""
    from bnfuse.pipeline.entry import SourceOptions
    from bnfuse.pipeline.planning import plan
    from bnfuse.reporting.text import render_plan

    given = [option for option, value in useless.items() if value]
    if given:
        raise UsageError(
            f"--dry-run writes and verifies nothing, and {' and '.join(given)} would.",
            "Leave --dry-run out, or them.",
        )
    check_outputs({"--json": json_file}, {"the source itself": source})
    wanted = SourceOptions(opset=opset, loading=loading)
    with results_only():
        report = replace(plan(source, wanted, progress=terminal), load_flags=loading.flags)
    left = sum(not norm.folded for norm in report.norms) if strict else 0
    render_plan(report, terminal.out, terminal.verbosity)
    following = shlex.join(["bnfuse", "fold", str(source), *loading.flags])
    line = f"dry run: nothing was written or verified; to do it: {following}"
    terminal.out.print(line, highlight=False, markup=False, soft_wrap=True)
    if left:
        terminal.say(f"--strict: {left} of {len(report.norms)} norms would be left")
    code = int(left > 0)
    if json_file is not None:
        write_json(document("fold", code, {**report.to_json(), "dry_run": True}), json_file)
    return code


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
