"""``bnfuse-pre-commit``: the hook that judges pairs of models before they are committed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click

__all__ = ["main", "pairs_of"]

CANDIDATE, ORIGINAL = ".folded.onnx", ".onnx"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--pair",
    "named",
    nargs=2,
    multiple=True,
    metavar="ORIGINAL CANDIDATE",
    help="Two files that belong together though their names do not say so; repeatable.",
)
@click.option(
    "--options",
    metavar="TEXT",
    default="",
    help="Further options of bnfuse verify, quoted as in a shell.",
)
@click.argument("files", nargs=-1)
def main(named: tuple[tuple[str, str], ...], options: str, files: tuple[str, ...]) -> None:
    """Judge every pair of which one of FILES is a part, as pre-commit names them.

    MODEL.folded.onnx is judged by MODEL.onnx beside it. Files that belong to no pair are left
    alone, but a *.folded.onnx without its original is an error.

    \b
    Example:
      bnfuse-pre-commit --options "--provider cpu" model.onnx model.folded.onnx
    """
    try:
        more = shlex.split(options)
    except ValueError as error:
        raise click.UsageError(f"--options cannot be read: {error}.") from error
    codes = [_judged(*pair, more) for pair in pairs_of(files, named)]
    sys.exit(max(codes, default=0))


def pairs_of(
    files: tuple[str, ...], named: tuple[tuple[str, str], ...] = ()
) -> list[tuple[str, str]]:
    """The pairs (original, candidate) that ``files`` are parts of, each once.

    Args:
        files: Paths that changed; those of external data, ``*.data``, stand for their models.
        named: Pairs that names do not show.
    """
    changed = [Path(file.removesuffix(".data")) for file in files]
    found = {pair: None for pair in named if {Path(part) for part in pair} & {*changed}}
    parts = {Path(part) for pair in named for part in pair}
    for file in (file for file in changed if file not in parts):
        name = str(file)
        original = name.removesuffix(CANDIDATE) + ORIGINAL if name.endswith(CANDIDATE) else name
        candidate = original.removesuffix(ORIGINAL) + CANDIDATE
        # One that was deleted is not passed here; an original alone is nobody's original.
        if original.endswith(ORIGINAL) and (name == candidate or Path(candidate).exists()):
            found[original, candidate] = None
    return list(found)


def _judged(original: str, candidate: str, options: list[str]) -> int:
    """Say what ``bnfuse verify`` says of a pair that does not pass, and return its exit code."""
    # -P: as for the command bnfuse, what lies in the working directory is no module of bnfuse's.
    command = [sys.executable, "-P", "-m", "bnfuse", "verify", "-q", *options, "--"]
    command += [original, candidate]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.stdout.startswith("Usage:"):
        click.echo(f"{candidate} beside {original}: --options asks for help; nothing was judged.")
        return 2
    if ran.returncode:
        click.echo(f"{candidate} beside {original}: {ran.stderr.strip()}")
    return ran.returncode


if __name__ == "__main__":
    main()
