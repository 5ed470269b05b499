from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# One thread a process: the workers share the cores, and idle threads spin. Set before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# Helpers shared by the tests lie beside them: `from graphs import Net`.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from costs import Costs
from exporter import keep_operators

# What is imported and collected stays to the end: it is no use to look through it for garbage.
gc.disable()

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile("ci", deadline=None, suppress_health_check=_QUIET, derandomize=True)
settings.register_profile("nightly", deadline=None, suppress_health_check=_QUIET, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first: none of them runs alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup() -> None:
    keep_operators()
