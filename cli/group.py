"""The group of all commands, which asks for the command that was meant."""

from __future__ import annotations

__all__ = ["Commands"]

import click

from bnfuse.suggestion import meant


class Commands(click.Group):
    """A group."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names."""
        name = args[0]
        # An option in its place is for click to explain.
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            asked = meant(name, self.list_commands(ctx)) or "bnfuse --help lists them."
            ctx.fail(f"No such command {name!r}. {asked}")
        return super().resolve_command(ctx, args)
