"""Linear maps that become one: what is parallel today, in a file of its own."""

from __future__ import annotations

__all__ = ["Merge", "find_parallel", "replace_sum"]

from bnfuse.folding.merges.parallel import Merge, find_parallel, replace_sum
