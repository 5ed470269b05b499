"""The documentation has the numbers that the benchmark found, and no others."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.environment import RESULTS
from benchmarks.tally import markdown
from bnfuse.verifying.comparing.doubt import NEARLY, ROUNDS

DOCS = Path(__file__).parents[2] / "docs" / "verification.md"
RESULT = json.loads((RESULTS / "verification.json").read_text(encoding="utf-8"))


def test_the_documentation_has_the_table_of_the_result() -> None:
    assert markdown(RESULT) in DOCS.read_text(encoding="utf-8")


def test_what_was_missed_is_told() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for part in RESULT["parts"].values():
        for tally in part.values():
            assert all(f"`{line.split(':')[0]}`" in text for line in tally["wrong"])


def test_no_limit_of_simulated_runs_changed_a_verdict() -> None:
    found = json.loads((RESULTS / "doubt.json").read_text(encoding="utf-8"))
    (today,) = (e for e in found["limits"] if (e["factor"], e["nearly"]) == (1.0, NEARLY))
    assert today["accused"] == today["excused"] == 0
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    assert (
        f"of {found['right']} right candidates {found['doubted_right']} were, of {found['wrong']} "
        f"wrong ones {found['doubted_wrong']}"
    ) in text
    assert ROUNDS == ((2, 1000.0), (8, 30.0), (16, 4.0), (32, 2.0)), "calibrate anew, and tell it"
