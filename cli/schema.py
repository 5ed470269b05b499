"""``bnfuse schema``: what ``--json`` writes, for programs that read it."""

from __future__ import annotations

import click

__all__ = ["schema"]


@click.command()
def schema() -> None:
    """Print the JSON Schema of what --json writes."""
    from bnfuse.reporting.schema import schema_text

    click.echo(schema_text(), nl=False)
