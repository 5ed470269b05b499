"""``bnfuse export``: the same as ``fold``, without folding."""

from __future__ import annotations

from typing import Any

import click

from bnfuse.cli.convert import convert, convert_options
from bnfuse.cli.report import JsonCommand

__all__ = ["export"]


@click.command(cls=JsonCommand)
@convert_options
def export(**options: Any) -> int:
    """Export SOURCE to ONNX with every norm still in it, and verify."""
    return convert(folding=False, **options)
