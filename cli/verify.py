"""``bnfuse verify``: is this ONNX file the same function as that model?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfuse.cli.completion import ANY_MODEL, ONNX_MODEL
from bnfuse.cli.console import Terminal
from bnfuse.cli.options import (
    judged_by,
    judging_options,
    load_options,
    provider_option,
    verbosity_options,
)
from bnfuse.cli.output import check_outputs, check_repro, write_formats, write_json
from bnfuse.cli.report import JsonCommand, document, files_json
from bnfuse.errors import UsageError
from bnfuse.target import STDOUT

if TYPE_CHECKING:
    from bnfuse.verifying import Verification

__all__ = ["verify"]


@click.command(cls=JsonCommand)
@click.argument("original", required=False, type=ANY_MODEL)
@click.argument("candidate", required=False, type=ONNX_MODEL)
@provider_option
@judging_options
@click.option("--localize", is_flag=True, help="On failure, say at which value they part.")
@click.option("--repro", metavar="DIR", help="On failure, write what reproduces it.")
@click.option("--json", "json_file", metavar="FILE", help="Write the result; - is stdout.")
@click.option(
    "--rejudge",
    metavar="FILE.json",
    help="Judge a result that --json saved again; takes no models.",
)
@click.option(
    "--factor",
    type=click.FloatRange(min=1.0),
    help="How many times the original's error is allowed.  [default: 2]",
)
@load_options
@verbosity_options
def verify(
    original: Path | None,
    candidate: Path | None,
    rejudge: str | None,
    quiet: bool,
    verbosity: int,
    json_file: str | None,
    junit: str | None,
    github: bool,
    **options: Any,
) -> int:
    """Judge whether CANDIDATE computes what ORIGINAL computes.

    ORIGINAL is an ONNX file or any model file that fold reads; CANDIDATE is an ONNX file. Exit
    code 0 means PASS, 1 that they differ, 3 that it could not be judged.

    \b
    Examples:
      bnfuse verify model.onnx model.folded.onnx
      bnfuse verify model.pt model.onnx --provider cpu --json result.json
      bnfuse verify --rejudge result.json --factor 4
    """
    check_outputs(
        {"--json": json_file, "--junit": junit},
        {
            "the original": original,
            "the candidate": candidate,
            "the inputs' file": options["inputs"],
        },
    )
    if options["repro"] is not None:
        check_repro(options["repro"])
    terminal = Terminal(quiet or STDOUT in (json_file, junit), verbosity)
    if rejudge is not None:
        if original is not None:
            raise UsageError("--rejudge takes no models.", "Leave ORIGINAL and CANDIDATE out.")
        result = _rejudged(rejudge, options["factor"])
        name = rejudge
    else:
        if original is None or candidate is None:
            raise UsageError(
                "verify needs an original and a candidate.",
                "Give both: bnfuse verify ORIGINAL CANDIDATE.",
            )
        name = str(candidate)
        result = _judged(original, candidate, terminal, **options)

    from bnfuse.verifying.telling.text import render

    render(result, terminal.out, verbosity)
    code = result.verdict.exit_code
    if code and terminal.quiet:
        terminal.say(f"{result.verdict.value}: {result.reason}")
    if json_file is not None:
        found = {
            "original": None if original is None else str(original),
            "candidate": None if candidate is None else str(candidate),
            "files": {"original": files_json(original), "candidate": files_json(candidate)},
        }
        write_json(document("verify", code, found | result.to_json()), json_file)
    write_formats(result, name, junit, github, taken=json_file == STDOUT)
    return code


def _judged(
    original: Path,
    candidate: Path,
    terminal: Terminal,
    *,
    inputs: str | None,
    ranges: tuple[str, ...],
    truth_budget: float | None,
    require_proof: bool,
    no_proof: bool,
    factor: float | None,
    providers: tuple[str, ...],
    seed: int,
    localize: bool,
    repro: str | None,
    **load: Any,
) -> Verification:
    from bnfuse.verifying import Thresholds
    from bnfuse.verifying import verify as judge

    with terminal.stage("verify") as stage:
        result = judge(
            original,
            candidate,
            providers=providers,
            seed=seed,
            reached=stage.reached,
            doing=stage.doing,
            **judged_by(inputs, ranges, truth_budget, require_proof, no_proof),
            thresholds=Thresholds() if factor is None else Thresholds(factor=factor),
            load_options=load,
            localize=localize,
            repro=repro,
        )
        stage.detail = f"{len(result.samples)} samples, {len(result.rows)} configurations"
    return result


def _rejudged(file: str, factor: float | None) -> Verification:
    from bnfuse.verifying import read_json
    from bnfuse.verifying import rejudge as judge_again

    saved = read_json(file)
    limits = saved.thresholds if factor is None else replace(saved.thresholds, factor=factor)
    return judge_again(saved, limits)
