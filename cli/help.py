"""``bnfuse help``: a command's options, or what holds for all commands."""

from __future__ import annotations

__all__ = ["help_command"]

from importlib.resources import files
from typing import TYPE_CHECKING

import click

from bnfuse.cli.console import Terminal
from bnfuse.errors import UsageError
from bnfuse.suggestion import meant

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _topics() -> dict[str, Traversable]:
    """The text of each topic, which is a part of a page of the documentation word for word."""
    folder = files("bnfuse.cli").joinpath("topics")
    return {file.name.removesuffix(".md"): file for file in sorted(folder.iterdir(), key=str)}


def _complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    group = context.find_root().command
    names = group.list_commands(context) if isinstance(group, click.Group) else []
    return [name for name in (*_topics(), *names) if name.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Explain TOPIC: exit-codes, json, or a command.

    \b
    Examples:
      bnfuse help exit-codes
      bnfuse help fold
    """
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    command = None if topic is None else root.command.get_command(root, topic)
    topics = _topics()
    if topic in topics:
        _print(topics[topic].read_text(encoding="utf-8"))
    elif command is not None:
        inner = click.Context(command, info_name=topic, parent=root)
        click.echo(command.get_help(inner))
    elif topic is None:
        click.echo(root.get_help())
        click.echo(f"\nTopics of bnfuse help: {', '.join(topics)}.")
    else:
        known = [*topics, *root.command.list_commands(root)]
        asked = meant(topic, known) or f"There are {', '.join(topics)} and the commands."
        raise UsageError(f"There is no topic {topic!r}.", asked)


def _print(text: str) -> None:
    console = Terminal().out
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(text))
    else:
        # A program, or a pager, reads the text as it is.
        click.echo(text, nl=False)
