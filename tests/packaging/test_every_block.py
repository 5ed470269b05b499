"""No block of a page is left untested without a reason, and commands have the options they name."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from builds import ROOT
from pages import PAGES, Block, blocks, files, typed

from bnfuse.cli.main import bnfuse
from bnfuse.cli.precommit import main as pre_commit

TYPED = {"README.md", *(f"docs/{name}.md" for name in ("ci", "json", "proof", "tutorial"))}
TYPED |= {f"docs/{name}.md" for name in ("deployment", "reading", "untrusted")}
TYPED |= {f"docs/{name}.md" for name in ("cli", "inspect", "report")}
"""Pages whose commands test_pages.py, test_quick_start.py and test_light.py type."""

SHOWN = {"text", "{eval-rst}"}
"""Blocks that are looked at, and what the site puts the references in."""

TESTS = "\n".join(
    file.read_text(encoding="utf-8")
    for file in (ROOT / "tests").rglob("*.py")
    if file != Path(__file__)
)


def plain(page):
    return [one for one in blocks(page) if one.language == "python" and not covered(one)]


def covered(block: Block) -> bool:
    """Whether something else than this file runs a block of Python: doctest, or its page."""
    return ">>> " in block.text or block.file is not None or block.excuse is not None


def is_used(page, name):
    """Whether a file is run by its page, imported by another file of its page, or by a test."""
    commands = " ".join(one.command for one in typed(page))
    others = "\n".join(text for file, text in files(page).items() if file != name)
    stem = name.removesuffix(".py")
    return name in commands or f"from {stem} import" in others or name in TESTS or stem in TESTS


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page):
    for block in blocks(page):
        if block.excuse is not None:
            assert len(block.excuse) > 10
        elif block.language == "console":
            assert page in TYPED, block.text
            assert block.text.startswith("$ ")
        elif block.file is not None:
            assert is_used(page, block.file), block.file
        else:
            assert block.language in {"python", *SHOWN}, block.text


@pytest.mark.parametrize("page", [page for page in PAGES if plain(page)])
def test_python_that_stands_by_itself_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in plain(page):
        exec(compile(block.text, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_code_is_fenced(page):
    """An indented block would be code to a reader, and nothing to these tests."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.search(r"\n\n {4,}\S", text)
    assert text.count("```") == 0


def commands(page):
    """Every command line of a page: in its blocks, run or not, and in its sentences."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    found += [
        line[2:] for one in blocks(page) for line in one.text.splitlines() if line[:2] == "$ "
    ]
    return [
        line for line in found if re.match(r"(bnfuse|python -m|make|bnfuse-pre-commit) \S", line)
    ]


def options_of(command: click.Command):
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_that_is_named_exists(page):
    for line in commands(page):
        words = shlex.split(line.split(" || ")[0].split(" | ")[0], comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), line
            continue
        if words[:2] == ["python", "-m"] and words[2] != "bnfuse":
            if words[2].startswith(("bnfuse.", "benchmarks.")):
                assert find_spec(words[2]), line
            continue
        words = words[3:] if words[0] == "python" else words[1:]
        if line.startswith("bnfuse-pre-commit"):
            found = pre_commit
        elif not words or words[0].startswith("-"):
            found = bnfuse
        elif f"No such command {words[0]!r}" in (ROOT / page).read_text(encoding="utf-8"):
            continue
        else:
            assert words[0] in bnfuse.commands, line
            found = bnfuse.commands[words[0]]
        known = options_of(found) | {"-h", "--help"}
        given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        # What is quoted is one word, and options within it are another command's.
        assert {one for one in given if " " not in one} <= known | {"-vv"}, line


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_the_repository_that_is_named_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:action|benchmarks|bnfuse|cli|models|tests)/[\w./]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
