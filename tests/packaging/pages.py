"""The code blocks of a page: files to write, code to run, and commands with what they print.

A block behind the comment ``<!-- not run: REASON -->`` is one that no test runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from builds import ROOT

PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and why no test runs it, if none does."""

    heading: str
    language: str
    text: str
    excuse: str | None

    @property
    def file(self) -> str | None:
        """The file that the block tells a person to write: its first line names one."""
        name = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return name[1] if name and self.language in ("python", "yaml", "sh") else None


@dataclass(frozen=True)
class Typed:
    """A line that a page tells a person to type."""

    heading: str
    command: str
    output: str


def typed(page: str | Path) -> list[Typed]:
    """Every command of the console blocks of a page that are run, in order."""
    found = []
    for one in blocks(page):
        if one.language != "console" or one.excuse:
            continue
        starts = [match.start() for match in re.finditer(r"^\$ ", one.text, re.MULTILINE)]
        for start, end in pairwise([*starts, len(one.text)]):
            command = re.match(r"(?:.*\\\n)*.*", one.text[start + 2 : end])
            assert command
            output = one.text[start + 2 + command.end() : end].strip("\n")
            found.append(Typed(one.heading, command[0], output))
    return found


def files(page: str | Path) -> dict[str, str]:
    """The files that a page tells a person to write."""
    return {one.file: one.text for one in blocks(page) if one.file}


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


def blocks(page: str | Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    heading, excuse, found = "", None, []
    text = (ROOT / page).read_text(encoding="utf-8")
    pattern = r"^#+ ([^\n]*)|^<!-- not run: (.*?) -->\n|^```([^\n]*)\n(.*?)^```$"
    for match in re.finditer(pattern, text, re.M | re.S):
        if match[1] is not None:
            heading = match[1]
        elif match[2] is not None:
            excuse = match[2]
        else:
            found.append(Block(heading, match[3], match[4], excuse))
            excuse = None
    return found
