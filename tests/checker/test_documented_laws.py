"""The documentation lists every law of the checker."""

from __future__ import annotations

import re
from pathlib import Path

from bnfuse.checker.definitions import DEFINITIONS
from bnfuse.checker.laws import LAWS
from bnfuse.checker.linear import LINEAR
from bnfuse.checker.turned import TURNED

TEXT = (Path(__file__).parents[2] / "docs" / "proof.md").read_text(encoding="utf-8")


def named(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", text))


def test_every_law_is_listed_and_no_other() -> None:
    laws = TEXT.partition("## The laws")[2].partition("## What is trusted")[0]
    head, _, table = laws.partition("| what passes")
    rows = {row.split("|")[1].strip(): named(row) for row in table.splitlines()[2:] if "|" in row}
    turned = rows.pop("axes in another order")
    assert named(head) == set(LINEAR)
    assert turned == set(TURNED)
    assert set().union(*rows.values()) == set(LAWS)


def test_every_definition_is_listed() -> None:
    assert {kind.rpartition("::")[2] for kind in DEFINITIONS} <= named(TEXT)
