"""The JSON Schema of what ``--json`` writes."""

from __future__ import annotations

__all__ = ["SCHEMA_VERSION", "schema_text"]

from importlib.resources import files

SCHEMA_VERSION = 1
"""Goes up when a key changes its meaning or goes away; new keys leave it as it is."""


def schema_text() -> str:
    """The schema, as the file that is installed with bnfuse has it."""
    return files("bnfuse.reporting").joinpath("report.schema.json").read_text(encoding="utf-8")
