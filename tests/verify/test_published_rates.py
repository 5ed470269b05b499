"""The documentation has the numbers that the benchmark found, and no others."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.environment import RESULTS
from benchmarks.tally import markdown

DOCS = Path(__file__).parents[2] / "docs" / "verification.md"
RESULT = json.loads((RESULTS / "verification.json").read_text(encoding="utf-8"))


def test_the_documentation_has_the_table_of_the_result() -> None:
    assert markdown(RESULT) in DOCS.read_text(encoding="utf-8")


def test_what_was_missed_is_told() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for part in RESULT["parts"].values():
        for tally in part.values():
            assert all(f"`{line.split(':')[0]}`" in text for line in tally["wrong"])
