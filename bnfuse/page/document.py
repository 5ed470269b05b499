"""The report as one page that asks nothing of a network: markup, style, script and data.

The names in it are whatever a model's author chose. Text is escaped where it enters the markup;
the data for the script is JSON in which no ``<`` is left, which the script only ever sets as
text; and the page's policy runs one script and one style sheet, by their hashes, and loads nothing.
"""

from __future__ import annotations

__all__ = ["is_page", "report_page"]

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from bnfuse.errors import UsageError
from bnfuse.page.drawing import Net, drawing, net_of
from bnfuse.page.errors import error_rows
from bnfuse.page.markup import asset, text
from bnfuse.page.norms import norms_section
from bnfuse.page.plots import error_plot, latency_plot
from bnfuse.page.sections import details_section, figures, title, verdict

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPTS = ("base", "graph", "pane", "panel", "channels", "page")
_MAKER = '<meta name="generator" content="bnfuse">'
_HEAD = 4096
"""Bytes at the beginning in which the maker stands."""
_KINDS = ("fold", "export", "verify")
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M3 2v5l5 3 5-3V2M8 10v4' fill='none' stroke='%230d8a6a' stroke-width='2'/%3E"
    "%3C/svg%3E"
)


def report_page(document: dict[str, Any], bench: dict[str, Any] | None = None) -> str:
    """Make the page.

    Args:
        document: The JSON report of ``bnfuse fold``, ``export`` or ``verify``; with ``graph`` and
            ``channels`` in it, the net and its constants are drawn.
        bench: That of ``bnfuse bench``, for the latency.

    Raises:
        UsageError: They are something else, or tell of a command that failed.
    """
    _check(document, _KINDS, "`bnfuse fold --json FILE`")
    if bench is not None:
        _check(bench, ("bench",), "`bnfuse bench --json FILE`")
    net = net_of(document)
    style, script = asset("page.css"), "".join(asset(f"{name}.js") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    sections = list(_sections(document, bench, net))
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{name}</h2>'
        f"{content}</section>"
        for key, name, content in sections
    )
    named = text(title(document))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{_MAKER}"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" '
        f'content="no-referrer"><link rel="icon" href="{_ICON}">'
        f"<title>{named}: {text(document['verdict'])} · bnfuse</title>"
        f"<style>{style}</style></head><body>"
        '<a class="skip" href="#main">Skip to the report</a>'
        f'<header><p class="brand">bnfuse <span>{text(document["command"])} report</span></p>'
        f"<h1>{named}</h1>{verdict(document)}{figures(document)}</header>"
        f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>'
        f'<main id="main" tabindex="-1">{body}</main>'
        f"<footer><p>Made by bnfuse {text(document['bnfuse'])}. This page loads nothing and sends "
        "nothing.</p></footer>"
        f'<script type="application/json" id="data">{_data(drawing(net))}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def is_page(path: Path) -> bool:
    """Whether a file is such a page, by what it says of its maker."""
    with path.open("rb") as file:
        return _MAKER.encode() in file.read(_HEAD)


def _sections(
    document: dict[str, Any], bench: dict[str, Any] | None, net: Net
) -> list[tuple[str, str, str]]:
    found = []
    if "folds" in document:
        found.append(("net", "The net", asset("net.html") if net.before else _NO_NET))
        found.append(("norms", "The norms", norms_section(net)))
    rows = error_rows(document)
    if rows:
        found.append(("error", "Error against float64", error_plot(rows)))
    if bench is not None:
        found.append(("latency", "Latency", latency_plot(bench)))
    found.append(("details", "Files and versions", details_section(document)))
    return found


_NO_NET = (
    '<p class="card dim">This report has no graph: write it with <code>--detailed</code>, or fold '
    "with <code>--report</code>, to see the net.</p>"
)


def _check(document: dict[str, Any], kinds: tuple[str, ...], made_by: str) -> None:
    if document.get("command") not in kinds:
        raise UsageError("the file is no JSON report of that kind.", f"Give what {made_by} wrote.")
    if document.get("error"):
        raise UsageError(
            "the report tells of a command that failed: " + str(document["error"]["message"]),
            f"Give what {made_by} wrote when it came to its end.",
        )


def _data(data: dict[str, Any]) -> str:
    """JSON that no parser of HTML sees an end or a comment in."""
    packed = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        packed = packed.replace(character, f"\\u{ord(character):04x}")
    return packed


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
