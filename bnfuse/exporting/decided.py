"""Where a program decided on a size: what torch.export learnt of each dimension, and at which line.

``Dim.AUTO`` fixes and bounds dimensions without a word. The shape environment of the captured
program has each symbol's range, and for both ends the frame that asked.
"""

from __future__ import annotations

__all__ = ["places"]

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE = re.compile(r"L\['(\w+)'\]\.size\(\)\[(\d+)\]")
_LIBRARY = str(Path(torch.__file__).parent)


def places(program: Any) -> dict[tuple[str, int], str]:
    """For each dimension of an input on which a line of ``forward`` decided, that line.

    Args:
        program: A captured program, or None.

    Returns:
        As in ``{("x", 0): "model.py:40"}``; empty where torch says nothing of it.
    """
    try:
        return dict(_found(program))
    except Exception:
        # Nothing of this is torch's public interface, and the export does not depend on it.
        return {}


def _found(program: Any) -> Iterator[tuple[tuple[str, int], str]]:
    values = (node.meta.get("val") for node in program.graph.nodes)
    modes = (value.fake_mode for value in values if hasattr(value, "fake_mode"))
    environment = next(mode.shape_env for mode in modes if mode.shape_env is not None)
    for symbol, sources in environment.var_to_sources.items():
        ends = environment.var_to_range_sloc[symbol]
        lines = [line for end in (ends.upper, ends.lower) if (line := _line(end))]
        for source in sources:
            name = source.name if isinstance(source.name, str) else source.name()
            match = _SIZE.fullmatch(name)
            if match and lines:
                yield (match[1], int(match[2])), lines[0]


def _line(location: Any) -> str:
    frame = location.maybe_user_loc or location.framework_loc
    name = getattr(frame, "filename", "")
    return f"{Path(name).name}:{frame.lineno}" if name and not name.startswith(_LIBRARY) else ""
