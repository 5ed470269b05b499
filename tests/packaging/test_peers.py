"""The page that places bnfuse beside other tools has the numbers of the saved runs."""

from __future__ import annotations

import json
import re
from statistics import median

from builds import ROOT

PAGE = (ROOT / "docs/peers.md").read_text(encoding="utf-8")
NAMES = {"unfolded": "the export as it is", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def saved(name):
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())["rows"]


def of_small_nets():
    rows = saved("proof")
    return [row for row in rows if (row["source"], row["spelling"]) == ("styles", "stock")]


def measured(tool, spelling):
    rows = [row["tools"][tool] for row in saved("coverage") if row["spelling"] == spelling]
    ratios = [row["ratio"] for row in rows]
    assert not any(row["wrong"] for row in rows)
    left = f"{sum(row['left'] for row in rows):,}"
    return left, f"{min(ratios):.2f} {median(ratios):.2f} {max(ratios):.2f}"


def test_the_table_is_that_of_the_saved_runs():
    nets = {row["net"] for row in of_small_nets()}
    assert f"{len(nets)} small nets" in PAGE
    tools = saved("coverage")[0]["tools"]
    shown = re.findall(
        r"^\| (.+?) \| ([\d,]+) \| ([\d,]+) \| (.*?) \| (.*?) \| (\d*) ?\|$", PAGE, re.M
    )
    assert len(shown) == len(tools)
    for tool in tools:
        stock, by_hand = measured(tool, "stock"), measured(tool, "scratch")
        verdicts = [row["status"] for row in of_small_nets() if row["tool"] == tool]
        proved = str(verdicts.count("PROVED")) if verdicts else ""
        row = (NAMES.get(tool, tool), stock[0], by_hand[0], stock[1], by_hand[1], proved)
        assert row in shown, row


def test_the_counts_are_those_of_the_saved_run():
    rows = [row for row in saved("coverage") if row["spelling"] == "stock"]
    assert f"{len(rows)} architectures, {sum(row['norms'] for row in rows)} norms" in PAGE
