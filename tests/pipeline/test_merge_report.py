"""What the report says of linear maps that became one, or could have."""

from __future__ import annotations

import io

import numpy as np
from graphs import Net
from rich.console import Console

import bnfuse
from bnfuse.reporting.text import render


def folded() -> bnfuse.Folded:
    net = Net(dtype=np.float32)
    h = net.conv(net.input(["N", 4, 8, 8]), 4, 6, (1, 1), name="wide")
    h = net.op("Relu", net.conv(h, 6, 4, bias=True, name="down"))
    h = net.op("Pad", h, net.ints(0, 0, 1, 1, 0, 0, 1, 1), name="border")
    h = net.conv(h, 4, 1, (1, 1), name="narrow")
    return bnfuse.fold(net.model(net.conv(h, 1, 4, name="up")), verified=False)


def test_as_data() -> None:
    report = folded().report.to_json()
    padding, sequence = report["merges"]
    assert (padding["kind"], padding["parts"]) == ("padding", ["Pad border", "1×1 Conv narrow"])
    assert sequence == {
        "kind": "sequence",
        "parts": ["1×1 Conv wide", "3×3 Conv down"],
        "into": "Conv down",
        "flops": {"before": round(48 * 64 / 36) + 432, "after": 288},
        "bytes": {"before": 4 * (24 + 216 + 4), "after": 4 * (144 + 4)},
    }
    (apart,) = report["unmerged"]
    assert apart["parts"] == ["1×1 Conv narrow", "3×3 Conv up"]
    assert apart["reason"].startswith("one map would cost more: FLOPs ")


def test_as_a_person_reads_it() -> None:
    texts = []
    for verbosity in (0, 1):
        stream = io.StringIO()
        render(folded().report, Console(file=stream, width=200), verbosity)
        texts.append(stream.getvalue())
    line = "1×1 Conv wide and 3×3 Conv down → one Conv down: FLOPs "
    counts = "merged 1 Pad into its Conv, 1 sequence"
    assert all(counts in text and line in text for text in texts)
    assert "narrow" not in texts[0]
    assert "Pad border and 1×1 Conv narrow → one Conv narrow" in texts[1]
    assert "apart  1×1 Conv narrow and 3×3 Conv up: one map would cost more" in texts[1]
