"""Architectures of ``transformers`` that share their code, told by the code itself.

The library copies whole files and renames what is in them. Two architectures are of one family if
one's lines of code are, but for the names of classes, nearly all among the other's.
"""

from __future__ import annotations

__all__ = ["by_rank", "families"]

import importlib.util
import re
from collections import Counter
from pathlib import Path

from benchmarks.shrunk import model_types

_SHARED = 0.85
"""Of an architecture's lines, those that its family's first must have."""


def families() -> dict[str, str]:
    """The first of its family for each model type, itself where there is no other."""
    code = {kind: _lines(kind) for kind in model_types()}
    firsts: list[str] = []
    family = {}
    for kind in sorted(code, key=lambda kind: -len(code[kind])):
        shared = _SHARED * len(code[kind])
        found = (first for first in firsts if len(code[kind] & code[first]) >= shared)
        family[kind] = next(found, kind) if code[kind] else kind
        if family[kind] == kind:
            firsts.append(kind)
    return family


def by_rank() -> list[str]:
    """All model types: one of each family, then the second of each, and so on."""
    family = families()
    seen: Counter[str] = Counter()
    ranks = {}
    for kind in sorted(family, key=lambda kind: (family[kind] != kind, kind)):
        ranks[kind] = seen[family[kind]]
        seen[family[kind]] += 1
    return sorted(ranks, key=lambda kind: (ranks[kind], kind))


def _lines(kind: str) -> frozenset[str]:
    """The distinct lines of the files that make a model type, the names of classes left out."""
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    spec = importlib.util.find_spec(f"transformers.models.{model_type_to_module_name(kind)}")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    lines = set()
    for file in (file for folder in folders for file in Path(folder).glob("modeling_*.py")):
        text = file.read_text(encoding="utf-8")
        if f"class {model_types()[kind]}(" in text:
            bare = (line.partition("#")[0].strip() for line in text.splitlines())
            lines |= {re.sub(r"\b[A-Z]\w*?(?=[A-Z][a-z]+\b)", "", line) for line in bare}
    return frozenset(lines)
