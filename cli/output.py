"""Where a command's files go, found out before it begins its work."""

from __future__ import annotations

__all__ = [
    "check_outputs",
    "check_repro",
    "default_output",
    "replaces",
    "same_file",
    "write_formats",
    "write_json",
    "write_text",
]

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfuse.errors import OutputError, UsageError
from bnfuse.fingerprint import weight_files
from bnfuse.target import STDOUT, target_of, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.verifying import Verification


def default_output(source: Path) -> Path:
    """``model.onnx`` beside ``model.pt``; ``model.folded.onnx`` beside ``model.onnx``."""
    if source.suffix == ".onnx":
        return source.with_suffix(".folded.onnx")
    return source.with_suffix(".onnx")


def check_outputs(
    outputs: Mapping[str, str | Path | None],
    inputs: Mapping[str, str | Path | None],
    *,
    binary: str = "",
    clobber: bool = True,
) -> None:
    """Find out whether a command's files can be written after its work.

    Args:
        outputs: Each option and its file; ``-`` is stdout, and ``None`` is not asked for.
        inputs: What the command reads, by what it is called.
        binary: The option whose file is no text, and is kept from a terminal.
        clobber: Whether a file that is there may be replaced.

    Raises:
        OutputError: A file cannot be written.
        UsageError: Two files have one place, or a file would replace what is read.
    """
    asked = {option: str(file) for option, file in outputs.items() if file is not None}
    to_stdout = [option for option, file in asked.items() if file == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError(
            f"{' and '.join(to_stdout)} both write to stdout.", "Name a file for one of them."
        )
    if to_stdout and sys.__stdout__ is None:
        raise UsageError(f"{to_stdout[0]} - needs stdout, which is closed.", "Name a file.")
    if binary in to_stdout and sys.stdout.isatty():
        raise UsageError(
            "stdout is a terminal, and a model is no text.",
            f"Redirect stdout, or name a file: {binary} FILE.",
        )
    found: dict[Path, str] = {}
    for option, file in asked.items():
        if file == STDOUT:
            continue
        target = target_of(file, option)
        if target in found:
            raise UsageError(
                f"{found[target]} and {option} both write {file!r}.", "Name two files."
            )
        found[target] = option
        for name, read in inputs.items():
            if read is not None and same_file(target, read):
                raise UsageError(
                    f"the output {file!r} is {name}.", f"Give another path with {option}."
                )
            if read is not None and replaces(target, read):
                raise UsageError(
                    f"the output {file!r} holds weights of {str(read)!r}.",
                    f"Give another path with {option}.",
                )
        if not clobber and target.exists():
            raise UsageError(
                f"{file!r} is there already, and --no-clobber keeps it.",
                f"Leave --no-clobber out, or give another path with {option}.",
            )


def check_name(path: Path, source: Path, force: bool) -> None:
    """Find out whether ``path``, a name that bnfuse chose, may be replaced.

    It may where bnfuse wrote it from the same source: a command is run again. Anything else there
    is the user's own.

    Raises:
        UsageError: It may not.
    """
    if force or not path.exists():
        return
    from bnfuse.onnxfiles.provenance import is_made_from

    if not is_made_from(path, str(source)):
        raise UsageError(
            f"{str(path)!r} is there already, and is not as bnfuse wrote it from {source.name!r}.",
            "Replace it with --force, or name another file with -o.",
        )


def check_repro(folder: str) -> None:
    """Find out whether a reproduction can be written to ``folder``, which may be an earlier one's.

    Raises:
        OutputError: It is a file, its place may not be written to, or it holds other files.
    """
    place = Path(folder)
    if place.is_dir() and any(place.iterdir()) and not (place / "command.txt").is_file():
        raise OutputError(
            f"the folder {folder!r} holds files that are no earlier reproduction.",
            "Give an empty folder, or one that is not there yet, with --repro.",
        )
    # The folders that are missing are made: what counts is the last that is there.
    while not place.is_dir() and not place.exists() and place != place.parent:
        place = place.parent
    target_of(place / "command.txt", "--repro")


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one place, or to one file by two names."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def replaces(file: str | Path, model: str | Path) -> bool:
    """Whether writing ``file`` would replace a part of a model, its external data included."""
    if same_file(file, model):
        return True
    # A model that cannot be read has no parts that are known.
    with suppress(Exception):
        return os.path.exists(file) and any(
            same_file(file, part) for part in weight_files(Path(model))
        )
    return False


def write_json(data: dict[str, Any], file: str) -> None:
    """Write ``data`` to a file, or to stdout for ``-``.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(json.dumps(data, indent=2) + "\n", file, "--json")


def write_text(text: str, file: str, option: str) -> None:
    """Write ``text`` in UTF-8 to a file, or to stdout for ``-``.

    Raises:
        OutputError: The file cannot be written.
    """
    write_whole(file, lambda stream: stream.write(text.encode()), option)


def write_formats(
    result: Verification, name: str, junit: str | None, github: bool, *, taken: bool
) -> None:
    """Write what CI systems read of a verification.

    Args:
        result: The verification.
        name: What was judged.
        junit: Where to write JUnit XML, if anywhere.
        github: Whether to print GitHub annotations.
        taken: Whether stdout holds a file already.
    """
    from bnfuse.verifying.telling.formats import github_lines, junit_xml

    if junit is not None:
        write_text(junit_xml(result, name), junit, "--junit")
    for line in github_lines(result, name) if github else ():
        # Annotations are read from either stream; with a file on stdout they go to stderr.
        click.echo(line, err=taken or junit == STDOUT)
