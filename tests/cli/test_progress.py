"""The line that moves while something takes long: what, how far, how long."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console
from rich.spinner import Spinner

from cli.console import Stage, _Moving


def test_a_stage_tells_what_how_far_and_how_long() -> None:
    stage = Stage()
    assert stage.told(0.0) == ""
    stage.doing("comparing samples")
    stage.reached(0, 8)
    assert stage.told(stage._since + 5) == "comparing samples, 0 of 8"
    stage.reached(2, 8)
    assert stage.told(stage._since + 10) == "comparing samples, 2 of 8, about 30 s left"


def test_what_begins_anew_is_timed_anew() -> None:
    stage = Stage()
    stage.reached(5, 8)
    before = stage._since
    stage.reached(0, 3)
    assert stage._since > before


@pytest.mark.parametrize("width", [20, 80])
def test_the_line_has_its_seconds_and_keeps_to_one_line(width: int) -> None:
    stage = Stage()
    stage.doing("simulating rounding on signed inputs")
    out = Console(file=io.StringIO(), width=width)
    out.print(Spinner("dots", _Moving("verify", stage, time.perf_counter() - 3)).render(0.0))
    (line,) = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "verify … simul" in line
    assert ("  3 s" in line) == (width == 80)
