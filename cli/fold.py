"""``bnfuse fold``: from whatever a person has to a folded and verified ONNX file."""

from __future__ import annotations

from typing import Any

import click

from bnfuse.cli.convert import convert, convert_options
from bnfuse.cli.report import JsonCommand

__all__ = ["fold"]


@click.command(cls=JsonCommand)
@convert_options
@click.option(
    "--localize",
    is_flag=True,
    help="If it fails, say at which value and by which rule application.",
)
@click.option(
    "--report",
    "report_file",
    metavar="FILE.html",
    help="Write a page that shows the net, the norms and the errors; - is stdout.",
)
@click.option(
    "--bench",
    "timed",
    is_flag=True,
    help="With --report: time SOURCE, an ONNX file, beside what it became.",
)
@click.option(
    "--detailed",
    is_flag=True,
    help="With --json: the graphs and each norm's constants too, for bnfuse report.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 if a norm is left; the verified file is written all the same.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would become of each norm; write and verify nothing."
)
def fold(**options: Any) -> int:
    """Fold the norms of SOURCE into its weights, export to ONNX, verify.

    \b
    Examples:
      bnfuse fold model.pt
      bnfuse fold weights.pt --model mynets:Net --input-shape N,3,224,224
      bnfuse fold model.onnx -o small.onnx --json report.json
      bnfuse fold model.pt --dry-run
      bnfuse fold model.onnx --report report.html
    """
    return convert(folding=True, **options)
