"""The JSON report that ``--json`` writes, however the command ends."""

from __future__ import annotations

__all__ = ["JsonCommand", "document", "files_json"]

from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnfuse.cli.outcome import Outcome, outcome_of
from bnfuse.cli.output import check_outputs, replaces, write_json
from bnfuse.fingerprint import fingerprints
from bnfuse.target import STDOUT
from bnfuse.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READ = ("source", "original", "candidate")
"""The parameters that name a model to read."""
_WORDS = "bnfuse.cli.report.words"


class JsonCommand(click.Command):
    """A command with ``--json``: the report is written even where its words cannot be read."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the command line."""
        words = list(args)
        with self._reported(words, {}):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_WORDS] = words
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with self._reported(ctx.meta[_WORDS], ctx.params):
            return super().invoke(ctx)

    @contextmanager
    def _reported(self, words: list[str], params: dict[str, Any]) -> Iterator[None]:
        try:
            yield
        except click.exceptions.Exit:
            # --help is no failure.
            raise
        except BaseException as error:
            file = _json_file(words)
            if file is not None:
                # What ended the command is said, whatever ends its report.
                with suppress(Exception):
                    report = _of_failure(str(self.name), outcome_of(error), params)
                    check_outputs({"--json": file}, {})
                    write_json(report, file)
            raise


def document(command: str, code: int, data: dict[str, Any]) -> dict[str, Any]:
    """The report of a command that came to its end.

    Args:
        command: Its name.
        code: What it leaves with.
        data: What it found.
    """
    return {**_head(command, code, None), **data}


def files_json(path: Path | None) -> list[dict[str, Any]]:
    """The files of a model by their SHA-256; none where they cannot be read."""
    with suppress(Exception):
        return [asdict(item) for item in fingerprints(Path(path or ""))] if path else []
    return []


def _of_failure(command: str, outcome: Outcome, params: dict[str, Any]) -> dict[str, Any]:
    read = {name: params[name] for name in _READ if name in params}
    return {
        **_head(command, outcome.code, {"message": outcome.message, "hint": outcome.hint}),
        **{name: None if path is None else str(path) for name, path in read.items()},
        "files": {name: files_json(path) for name, path in read.items()},
    }


def _head(command: str, code: int, error: dict[str, str] | None) -> dict[str, Any]:
    # Not at the top: help and usage errors load nothing that takes time.
    from bnfuse.reporting.schema import SCHEMA_VERSION
    from bnfuse.reporting.versions import versions

    return {
        "schema": SCHEMA_VERSION,
        "command": command,
        "exit_code": code,
        "error": error,
        "bnfuse": __version__,
        "versions": versions(),
    }


def _json_file(words: Sequence[str]) -> str | None:
    """The file that ``--json`` names, unless the command line names it for something else too."""
    named, others = None, []
    rest = iter(words)
    for word in rest:
        if word == "--json":
            named = next(rest, None)
        elif word.startswith("--json="):
            named = word.removeprefix("--json=")
        else:
            others += [word, word.rpartition("=")[2]]
    if named is None:
        return None
    if named == STDOUT:
        return None if STDOUT in others else named
    if any(word == named or replaces(named, word) for word in others):
        return None
    return None if "--no-clobber" in others and Path(named).exists() else named
