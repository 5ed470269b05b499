"""``bnfuse prove`` and ``bnfuse check``: is it the same function for all inputs?"""

from __future__ import annotations

from pathlib import Path

import click

from bnfuse.cli.completion import ModelFile
from bnfuse.cli.console import Terminal
from bnfuse.cli.options import verbosity_options
from bnfuse.cli.output import check_outputs, write_text
from bnfuse.target import STDOUT

__all__ = ["check", "prove"]

_FILE = ModelFile((".onnx",), exists=True)
_PROOF = ModelFile((".json",), exists=True)


@click.command()
@click.argument("original", type=_FILE)
@click.argument("candidate", type=_FILE)
@click.option("-o", "--output", metavar="FILE.json", help="Write the certificate; - is stdout.")
@click.option("--statement", type=click.Choice(["in-toto"]), help="Write it as one to sign.")
@verbosity_options
def prove(
    original: Path,
    candidate: Path,
    output: str | None,
    statement: str | None,
    quiet: bool,
    verbosity: int,
) -> int:
    """Prove that CANDIDATE computes what ORIGINAL computes, for all inputs.

    Both are ONNX files; who made the second does not matter. Exit code 0 means proved. 1 means that
    all is proved but for one stored constant, which is another. 3 means that no proof was found,
    which is no verdict: verify judges by samples.

    \b
    Examples:
      bnfuse prove model.onnx model.folded.onnx
      bnfuse prove model.onnx model.folded.onnx -o proof.json
    """
    from bnfuse.proving import prove as search
    from bnfuse.proving.certificate import in_toto, text_of

    files = {"the original": original, "the candidate": candidate}
    check_outputs({"-o": output}, files)
    terminal = Terminal(quiet or output == STDOUT, verbosity)
    with terminal.stage("prove") as stage:
        found = search(original, candidate)
        stage.detail = f"{len(found.certificate['cuts'])} cuts" if found.certificate else ""
    silent = quiet or output == STDOUT
    if found.difference is not None:
        click.echo(f"DIFFERENT {found.difference}", err=silent)
        return 1
    if found.certificate is None:
        _readable(original, candidate)
        click.echo(f"NOT PROVED {found.reason}", err=silent)
        return 3
    if output is not None:
        names = [path.name for path in (original, candidate)]
        text = in_toto(found.certificate, names) if statement else text_of(found.certificate)
        write_text(text, output, "-o")
    terminal.out.print(f"PROVED within {found.units:.3g} rounding units, for all inputs")
    return 0


@click.command()
@click.argument("proof", type=_PROOF)
@click.argument("original", type=_FILE)
@click.argument("candidate", type=_FILE)
@verbosity_options
def check(proof: Path, original: Path, candidate: Path, quiet: bool, verbosity: int) -> int:
    """Check a certificate that prove wrote, with nothing but numpy and onnx.

    Exit code 0 means that the proof holds, 3 that it does not. python -m bnfuse.checker is the same
    check.

    \b
    Example:
      bnfuse check proof.json model.onnx model.folded.onnx
    """
    from bnfuse.checker.__main__ import check_files
    from bnfuse.checker.nodes import NotProved

    terminal = Terminal(quiet, verbosity)
    try:
        with terminal.stage("check"):
            result = check_files(proof, original, candidate)
    except NotProved as refusal:
        _readable(original, candidate)
        click.echo(f"NOT PROVED {refusal}", err=quiet)
        return 3
    terminal.out.print(f"PROVED within {result.units:.3g} rounding units by {result.cuts} cuts")
    return 0


def _readable(*paths: Path) -> None:
    """Tell a file that cannot be read from one of which nothing is proved.

    Raises:
        LoadError: One of them cannot be read.
    """
    from bnfuse.onnxfiles.read import read_onnx

    for path in paths:
        read_onnx(path)
