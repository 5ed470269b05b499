"""Writing: a model on disk, whole or not at all, at little more than the cost of its bytes."""

from __future__ import annotations

__all__ = [
    "Writing",
    "describe",
    "file_bytes",
    "files_of",
    "is_made_from",
    "model_bytes",
    "node_count",
    "targets",
    "unverified",
]

from bnfuse.writing.place import Writing, targets, unverified
from bnfuse.writing.provenance import describe, is_made_from
from bnfuse.writing.size import file_bytes, files_of, model_bytes, node_count
