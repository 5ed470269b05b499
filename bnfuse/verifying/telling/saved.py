"""A saved result, read back and judged again, with other thresholds if wanted."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from bnfuse.errors import LoadError
from bnfuse.verdict import Verdict
from bnfuse.verifying.verdicts.judge import judge_floats, judge_row
from bnfuse.verifying.verdicts.result import OutputParity, Parity, Verification, overall
from bnfuse.verifying.verdicts.thresholds import Thresholds

__all__ = ["from_json", "read_json", "rejudge"]


def from_json(data: dict[str, Any]) -> Verification:
    """Return the :class:`Verification` that :meth:`Verification.to_json` wrote.

    Raises:
        LoadError: ``data`` is something else.
    """
    renamed = {**data, "rows": data.get("parity", ())}
    try:
        found: Verification = _build(Verification, renamed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadError(
            f"The data are no saved verification: {error}.",
            "Give a file that bnfuse verify --json wrote.",
        ) from error
    return found


def read_json(path: str | Path) -> Verification:
    """Return the verification saved in a file.

    Raises:
        LoadError: The file cannot be read or holds something else.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(
            f"{path} cannot be read as JSON: {error}.",
            "Give a file that bnfuse verify --json wrote.",
        ) from error
    if not isinstance(data, dict) or "verdict" not in data:
        raise LoadError(
            f"{path} holds no verification.", "Give a file that bnfuse verify --json wrote."
        )
    return from_json(data)


def rejudge(saved: Verification, thresholds: Thresholds | None = None) -> Verification:
    """Return ``saved`` judged again from its measurements.

    What no threshold decides (names, shapes, dtypes, positions of NaN, integers, a candidate that
    does not run, a provider that is not there) stays as it was.

    By the same or more lenient thresholds the answer is what a new run would give: every channel
    beyond its bound was saved. By stricter ones a channel that was not saved may be beyond its
    bound: what then does not fail is INCONCLUSIVE.
    """
    limits = thresholds or saved.thresholds
    rows = tuple(_row(row, limits, saved.truth.exact) for row in saved.rows)
    if not rows and not saved.constants:
        return saved
    verdict, reason = overall(rows, saved.constants, saved.proof)
    if verdict is Verdict.PASS and _is_stricter(limits, saved.thresholds):
        verdict = Verdict.INCONCLUSIVE
        reason = (
            "only the channels closest to the bounds were saved, and these are stricter: "
            "verify the models again"
        )
    return replace(saved, rows=rows, verdict=verdict, reason=reason, thresholds=limits)


def _is_stricter(new: Thresholds, old: Thresholds) -> bool:
    return any(getattr(new, item.name) < getattr(old, item.name) for item in fields(Thresholds))


def _row(row: Parity, thresholds: Thresholds, exact: bool) -> Parity:
    outputs = tuple(_output(output, thresholds, exact) for output in row.outputs)
    fixed = row.verdict is not Verdict.PASS and all(
        output.verdict is Verdict.PASS for output in row.outputs
    )
    judged = judge_row(replace(row, outputs=outputs))
    if fixed and judged.verdict is Verdict.PASS:
        return replace(row, outputs=outputs)
    return judged


def _output(output: OutputParity, thresholds: Thresholds, exact: bool) -> OutputParity:
    if not output.measures:
        return output
    judged = judge_floats(output.name, output.dtype, output.measures, thresholds, exact)
    return replace(judged, worst=output.worst, flips=output.flips)


def _build(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        known = {item.name: hints[item.name] for item in fields(kind)}
        return kind(**{name: _build(known[name], value[name]) for name in known if name in value})
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        if value is None:
            return None
        return _build(next(arg for arg in get_args(kind) if arg is not type(None)), value)
    if origin is tuple:
        return tuple(_build(get_args(kind)[0], item) for item in value)
    if kind is Verdict:
        return Verdict(value)
    if kind is float:
        return float(value)
    return value
