"""The commands that a page types, with what it shows of their output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from builds import ROOT


@dataclass(frozen=True)
class Typed:
    """A line that a page tells a person to type."""

    heading: str
    command: str
    output: str


def typed(page: str | Path) -> list[Typed]:
    """Every command of the console blocks of a page, in order."""
    found = []
    for heading, block in _blocks(page, "console"):
        starts = [match.start() for match in re.finditer(r"^\$ ", block, re.MULTILINE)]
        for start, end in pairwise([*starts, len(block)]):
            command = re.match(r"(?:.*\\\n)*.*", block[start + 2 : end])
            assert command
            output = block[start + 2 + command.end() : end].strip("\n")
            found.append(Typed(heading, command[0], output))
    return found


def files(page: str | Path) -> dict[str, str]:
    """The files that a page tells a person to write: code blocks whose first line names them."""
    found = {}
    for language in ("python", "yaml", "sh"):
        for _, block in _blocks(page, language):
            name = re.match(r"# ([\w./-]+\.\w+)\n", block)
            if name:
                found[name[1]] = block
    return found


def shows(written: str, printed: str) -> bool:
    """Whether a page shows what was printed: line by line, ``...`` standing for any lines.

    What differs from run to run is not compared: numbers, the space around them, and the lines
    that begin with "note:".
    """
    expected = [".*" if line == "..." else re.escape(line) + "\n" for line in _masked(written)]
    text = "".join(f"{line}\n" for line in _masked(printed))
    return re.fullmatch("".join(expected), text, re.S) is not None


def _masked(text: str) -> list[str]:
    bare = re.sub(r"\d[\d,]*(\.\d+)?(e[-+]\d+)?", "0", text)
    lines = (re.sub(r"[\s─]+", " ", line).strip() for line in bare.splitlines())
    return [line for line in lines if line and not line.startswith("note:")]


def _blocks(page: str | Path, language: str) -> list[tuple[str, str]]:
    heading, found = "", []
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^#+ ([^\n]*)|^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        if match[1] is not None:
            heading = match[1]
        elif match[2] == language:
            found.append((heading, match[3]))
    return found
