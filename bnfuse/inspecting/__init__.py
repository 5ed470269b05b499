"""Inspection: what is in a model and what a fold would do to it, before anything is written."""

from __future__ import annotations

__all__ = ["Comparison", "Facts", "Inspected", "compare", "inspect"]

from bnfuse.inspecting.compare import Comparison, compare
from bnfuse.inspecting.facts import Facts
from bnfuse.inspecting.look import Inspected, inspect
