"""The parts of the page that are words: the verdict, the files, what else there is to know."""

from __future__ import annotations

__all__ = ["details_section", "figures", "title", "verdict"]

from pathlib import PurePath
from typing import Any

from bnfuse.page.markup import disclosed, plural, table, text
from bnfuse.page.words import number, size

_LEAST_PART = 0.005
"""What is told in per cent; less than that is told as it is."""
_MARKS = {"PASS": "✓", "FAIL": "✕", "INCONCLUSIVE": "?", "NOT VERIFIED": "–"}


def verdict(document: dict[str, Any]) -> str:
    """The answer, its sentence, and the proof if there is one."""
    found = document["verdict"]
    reason = document.get("reason") or "the verification was left out"
    proof = document.get("proof")
    proved = ""
    if proof is not None:
        status, why = proof["status"], proof["reason"]
        says = (
            f"equal to {proof['of']} for all inputs, {float(proof['units']):.1f} rounding units "
            f"at most in {plural(proof['cuts'], 'claim')}"
            if status == "PROVED"
            else why
        )
        kind = "pass" if status == "PROVED" else "fail" if status == "DIFFERENT" else "unknown"
        proved = (
            f'<p class="proof"><span class="badge {kind}">{text(status)}</span> {text(says)}</p>'
        )
    kind = found.lower().replace(" ", "-")
    return (
        f'<div class="verdict {kind}"><p class="answer"><span class="sign" aria-hidden="true">'
        f"{_MARKS[found]}</span> <strong>{text(found)}</strong></p>"
        f'<div><p class="sentence">{text(_sentence(found, reason))}</p>{proved}</div></div>'
    )


def _sentence(found: str, reason: str) -> str:
    """With a capital, unless it begins with a name."""
    return f"{reason if found in ('FAIL', 'INCONCLUSIVE') else reason[:1].upper() + reason[1:]}."


def figures(document: dict[str, Any]) -> str:
    """The numbers that one asks for first."""
    if "norms" not in document:
        return ""
    norms, ops, sizes = document["norms"], document["ops"], document["bytes"]
    left = f"{norms['left']} left" if norms["left"] else "none left"
    found = [
        ("norms folded", f"{norms['folded']} of {norms['found']}", left),
        ("nodes", f"{ops['before']:,} → {ops['after']:,}", _change(ops)),
        ("model", size(sizes["after"]), _change(sizes, " bytes")),
    ]
    affines = document["affines"]
    if affines["found"]:
        found.insert(
            1,
            (
                "normalisers’ scales and shifts",
                f"{affines['folded']} of {affines['found']}",
                f"{affines['left']} left",
            ),
        )
    if document["merges"]:
        found.append(("merged", str(len(document["merges"])), "linear maps that became one"))
    constants = document.get("constants", [])
    if constants:
        wrong = sum(item["verdict"] != "PASS" for item in constants)
        found.append(("folded constants", f"{len(constants)} checked", f"{wrong} wrong"))
    return (
        '<dl class="figures">'
        + "".join(
            f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(note)}</small></dd></div>"
            for name, value, note in found
        )
        + "</dl>"
    )


def _change(counts: dict[str, int], unit: str = "") -> str:
    before, after = counts["before"], counts["after"]
    if not before or before == after:
        return "as before"
    part = (after - before) / before
    words = "fewer" if part < 0 else "more"
    if abs(part) >= _LEAST_PART:
        return f"{abs(part):.0%} {words}"
    return f"{abs(after - before):,}{unit} {words}"


def details_section(document: dict[str, Any]) -> str:
    """Files, how it was made, versions, and everything else that the report says."""
    parts = [f'<div class="scroll">{_files(document)}</div>']
    made = [
        (name, value)
        for name, value in (
            ("source", document.get("kind")),
            ("exporter", document.get("exporter")),
            ("opset", document.get("opset")),
            ("bnfuse", document["bnfuse"]),
            *document["versions"].items(),
        )
        if value is not None
    ]
    items = "".join(f"<div><dt>{text(n)}</dt><dd>{text(v)}</dd></div>" for n, v in made)
    parts.append(f'<h3>Made with</h3><dl class="versions">{items}</dl>')
    truth = document.get("truth")
    if truth is not None:
        inputs = document["samples"]
        said = f"Truth: {truth['kind']}, {float(truth['seconds']):.2f} s. {truth['detail']}"
        parts.append(
            f"<h3>Verification</h3><p>{text(said)}</p>"
            + disclosed(f"{plural(len(inputs), 'input')}, seed {document['seed']}", _listed(inputs))
        )
    blame, localized = document.get("blame"), document.get("localized", [])
    wrong = [item for item in document.get("constants", []) if item["verdict"] != "PASS"]
    lists = (
        ("The first wrong rule application", [_undone(blame)] if blame else [], True),
        ("Where the models part", [_parting(item) for item in localized], True),
        ("Folded constants that are wrong", [_constant(item) for item in wrong], True),
        ("Warnings", document.get("warnings", []), True),
        ("Notes", document.get("notes", []), True),
        ("Providers that were skipped", document.get("skipped", []), False),
        ("Taken back", [_undone(item) for item in document.get("undone", [])], True),
        ("Merged", [_merged(item) for item in document.get("merges", [])], False),
        ("Not merged", [_apart(item) for item in document.get("unmerged", [])], False),
    )
    parts += [
        disclosed(f"{name} ({len(items)})", _listed(items), opened=opened)
        for name, items, opened in lists
        if items
    ]
    return "".join(parts)


def _files(document: dict[str, Any]) -> str:
    rows = [
        (text(role), f'<code class="path">{text(item["path"])}</code>', size(item["bytes"]),
         f'<code class="hash">{text(item["sha256"])}</code>')
        for role, items in document["files"].items()
        for item in items
    ]  # fmt: skip
    if not rows:
        return "<p>No file was read or written.</p>"
    return table("Files", ("file", "path", "size", "SHA-256"), rows)


def _listed(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>"


def _undone(item: dict[str, Any]) -> str:
    sites = ", ".join(item["sites"]) or "no norm"
    return f"application {item['number']} of {item['of']}, {sites}: {item['reason']}"


def _parting(item: dict[str, Any]) -> str:
    introduced, arriving = number(item["introduced"]), number(item["arriving"])
    return f"{item['name']}: {introduced} added here, {arriving} in all, over truth’s rms"


def _constant(item: dict[str, Any]) -> str:
    return f"{item['tensor']} of {item['node']}: {item['verdict']}, {item['reason']}"


def _merged(item: dict[str, Any]) -> str:
    return f"{item['kind']}: {' and '.join(item['parts'])} → {item['into']}"


def _apart(item: dict[str, Any]) -> str:
    return f"{' and '.join(item['parts'])}: {item['reason']}"


def title(document: dict[str, Any]) -> str:
    """What the page is about: a file's name without its folder."""
    named = document.get("source") or document.get("candidate") or "a saved verification"
    return PurePath(named.replace("\\", "/")).name or named
