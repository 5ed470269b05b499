"""What the tests cost: processor time by folder and of the dearest tests, told when they ran."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING

import forks
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

DEAREST = 10
"""Tests that are named."""


def processor_seconds() -> float:
    """Of this process and of those that it ran, whatever else the machine does."""
    return sum(os.times()[:4]) + sum(forks.spent.values())


class Costs:
    """A plugin of pytest. A report carries its cost from the worker that ran the test."""

    def __init__(self) -> None:
        self.since = 0.0
        self.of_test: Counter[str] = Counter()

    def pytest_runtest_logstart(self) -> None:
        self.since = processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = processor_seconds()
        report.cost = now - self.since
        self.since = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.of_test[report.nodeid] += getattr(report, "cost", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        of_folder: Counter[str] = Counter()
        for test, cost in self.of_test.items():
            of_folder["/".join(PurePath(test.split("::")[0]).parts[:2])] += cost
        if len(of_folder) < 2:
            return
        terminalreporter.section("processor seconds")
        for name, cost in (*of_folder.most_common(), *self.of_test.most_common(DEAREST)):
            terminalreporter.write_line(f"{cost:8.1f} {name}")
        terminalreporter.write_line(f"{of_folder.total():8.1f} in all, without the collection")
