"""The command ``bnfuse``: its group, its errors and its exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Any

import click

from bnfuse.cli.bench import bench
from bnfuse.cli.console import imports_announced
from bnfuse.cli.export import export
from bnfuse.cli.fold import fold
from bnfuse.cli.group import Commands
from bnfuse.cli.help import help_command
from bnfuse.cli.inspect import inspect
from bnfuse.cli.outcome import outcome_of
from bnfuse.cli.page import report
from bnfuse.cli.prove import check, prove
from bnfuse.cli.schema import schema
from bnfuse.cli.streams import forgiving_streams
from bnfuse.cli.train import train
from bnfuse.cli.verify import verify
from bnfuse.version import __version__

__all__ = ["bnfuse", "main"]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done and verified, 1 verification failed, 2 bad input, 3 not judged; "
    "`bnfuse help exit-codes` has all of them.",
)
@click.version_option(__version__)
def bnfuse() -> None:
    """Fold batch norm into the neighbouring weights, export to ONNX, prove it.

    \b
    Example:
      bnfuse train scratch-cnn -o model.pt
      bnfuse fold model.pt
    """


_COMMANDS = (
    fold, inspect, export, verify, prove, check, bench, report, train, schema, help_command
)  # fmt: skip
for _command in _COMMANDS:
    bnfuse.add_command(_command)


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    argv = sys.argv[1:] if args is None else args
    if "-vv" not in argv:
        # What libraries warn of is for their developers; bnfuse says what a user should know.
        warnings.simplefilter("ignore")
    # What onnx_ir warns of in a damaged file, the error says.
    logging.getLogger("onnx_ir").addHandler(logging.NullHandler())
    with forgiving_streams() as out:
        code = _run(argv)
        out.flush()
        if out.failure is not None:
            _say(f"error: stdout cannot be written: {out.failure.strerror}; the rest is done.")
            code = code or 2
    sys.exit(code)


def _run(argv: list[str]) -> int:
    try:
        with imports_announced(quiet=not {"-q", "--quiet"}.isdisjoint(argv)):
            code: Any = bnfuse.main(argv, prog_name="bnfuse", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return outcome_of(error).code
    except (Exception, KeyboardInterrupt) as error:
        outcome = outcome_of(error)
        if "-vv" in argv and isinstance(error, Exception):
            traceback.print_exc()
        _say(str(outcome))
        return outcome.code
    return code if isinstance(code, int) else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
