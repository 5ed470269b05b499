"""The command ``bnfuse``: its group, its errors and its exit codes."""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

import click

from bnfuse import __version__
from bnfuse.cli.bench import bench
from bnfuse.cli.console import imports_announced
from bnfuse.cli.export import export
from bnfuse.cli.fold import fold
from bnfuse.cli.train import train
from bnfuse.cli.verify import verify
from bnfuse.errors import BnfuseError

__all__ = ["bnfuse", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done and verified, 1 verification failed, 2 bad input, 3 not judged.",
)
@click.version_option(__version__)
def bnfuse() -> None:
    """Fold batch norm into the neighbouring weights, export to ONNX, prove it.

    \b
    Example:
      bnfuse train scratch-cnn -o model.pt
      bnfuse fold model.pt
    """


for _command in (fold, export, verify, bench, train):
    bnfuse.add_command(_command)


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    argv = sys.argv[1:] if args is None else args
    if "-vv" not in argv:
        # What libraries warn of is for their developers; bnfuse says what a user should know.
        warnings.simplefilter("ignore")
    try:
        with imports_announced(quiet=not {"-q", "--quiet"}.isdisjoint(argv)):
            code: Any = bnfuse.main(argv, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: no file was left half-written.", err=True)
        code = 130
    except BnfuseError as error:
        _explain(f"error: {error}", argv)
        code = error.exit_code
    except Exception as error:
        name = type(error).__name__
        _explain(f"error: bnfuse met {name}: {error} Run again with -vv for the traceback.", argv)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _explain(message: str, argv: list[str]) -> None:
    if "-vv" in argv:
        traceback.print_exc()
    click.echo(message, err=True)
