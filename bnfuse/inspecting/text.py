"""What an inspection showed, for a person."""

from __future__ import annotations

__all__ = ["render", "render_comparison"]

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.text import Text

from bnfuse.columns import Column, print_table
from bnfuse.inspecting.compare import Fate
from bnfuse.inspecting.tree import tree_lines
from bnfuse.lifting.normalizer import NORMALIZERS
from bnfuse.lifting.sites import Kind
from bnfuse.loading.consent.denied import Standing
from bnfuse.reporting.merges import merge_lines
from bnfuse.reporting.sites import print_sites
from bnfuse.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from bnfuse.inspecting.compare import Comparison
    from bnfuse.inspecting.facts import Facts
    from bnfuse.inspecting.look import Inspected
    from bnfuse.reporting import Report

_ROWS = 12
"""Op types, imports and nodes that are shown without ``-v``."""
_TREE = 40
"""Lines of a tree that are shown without ``-v``."""
_WIDTH = 9
"""Of the words that lines begin with."""


def render(seen: Inspected, console: Console, verbosity: int = 0) -> None:
    """Print what was found; with ``verbosity`` all of it."""
    say = _sayer(console)
    say(f"{seen.path}: {seen.kind.description}, {seen.bytes / 1e6:.2f} MB", style="bold")
    for name, value in _head(seen, verbosity):
        say(value, name)
    if seen.architecture is not None:
        lines = tree_lines(seen.architecture)
        shown = lines if verbosity else lines[:_TREE]
        console.print()
        for line in shown:
            say(line)
        _say_more(say, len(lines) - len(shown))
    if seen.facts is not None:
        console.print()
        _print_ops(seen.facts, seen.after, console, verbosity)
    if seen.report is not None and seen.facts is not None and seen.after is not None:
        _print_plan(seen.report, seen.facts, seen.after, console, verbosity)


def _head(seen: Inspected, verbosity: int) -> Iterator[tuple[str, str]]:
    facts = seen.facts
    yield from _imports(seen, verbosity)
    for call in seen.calls:
        yield "calls", printable(call)
    if facts is None:
        return
    if seen.report is not None and seen.report.exporter is not None:
        yield "export", f"by {seen.report.exporter}, for what follows"
    elif facts.producer:
        yield "made by", printable(facts.producer)
    for key in ("source", "folded", "verdict", "proof", "sizes"):
        if f"bnfuse.{key}" in facts.metadata:
            yield key, printable(facts.metadata[f"bnfuse.{key}"])
    if seen.sealed is not None:
        unchanged = "as bnfuse wrote it" if seen.sealed else "changed since bnfuse wrote it"
        yield "bytes", unchanged
    sets = ", ".join(f"{domain or 'opset'} {n}".strip() for domain, n in facts.opsets.items())
    yield "format", f"{printable(sets)}; IR version {facts.ir_version}"
    for name, ports in (("input", facts.inputs), ("output", facts.outputs)):
        for port in ports:
            yield name, printable(str(port))


def _imports(seen: Inspected, verbosity: int) -> Iterator[tuple[str, str]]:
    if not seen.imports:
        return
    harmless = [item for item in seen.imports if item.verdict == Standing.HARMLESS.value]
    yield "imports", f"{len(harmless)} of {len(seen.imports)} names load with no flag"
    others = [item for item in seen.imports if verbosity or item not in harmless]
    for item in others if verbosity else others[:_ROWS]:
        told = item.verdict if item.needed else f"{item.verdict}; the model does not need it"
        yield "", f"{printable(item.name)}: {told}"
    if not verbosity and len(others) > _ROWS:
        yield "", f"… and {len(others) - _ROWS} more (-v lists them all)"


def _print_ops(facts: Facts, after: Facts | None, console: Console, verbosity: int) -> None:
    """A row for each op type: how many there are and what they multiply, before and after."""
    counts = Counter(facts.ops)
    folded = Counter({} if after is None else after.ops)
    known = facts.macs.by_op
    ops = sorted({*counts, *folded}, key=lambda op: (op not in known, -counts[op], op))
    shown = ops if verbosity else ops[:_ROWS]
    columns = [Column("op"), Column("nodes", number=True)]
    columns += [] if after is None else [Column("after", number=True)]
    rows = []
    for op in shown:
        macs = known.get(op)
        row = [printable(op), f"{counts[op]:,}", *([] if after is None else [f"{folded[op]:,}"])]
        rows.append([*row, "" if macs is None else str(macs)])
    print_table(console, (*columns, Column("MACs", number=True)), rows)
    _say_more(_sayer(console), len(ops) - len(shown))


def _print_plan(
    report: Report, facts: Facts, after: Facts, console: Console, verbosity: int
) -> None:
    say = _sayer(console)
    norms = [
        site
        for site in report.sites
        if site.kind == Kind.NORM.value or (verbosity and site.kind != Kind.AFFINE.value)
    ]
    if norms:
        console.print()
        print_sites(norms, console, verbosity, "what would become of it")
    normalisers = {op: n for op, n in facts.ops.items() if op in NORMALIZERS}
    if report.affines:
        console.print()
        print_sites(report.affines, console, verbosity, "what would become of it")
    console.print()
    folded = sum(site.folded for site in report.norms)
    left = len(report.norms) - folded
    told = f"{folded} of {len(report.norms)} would fold, {left} would be left"
    say(told if report.norms else "none that a fold could move", "norms")
    if normalisers:
        told = ", ".join(f"{n} {op}" for op, n in normalisers.items())
        say(f"{told}: their statistics are the input's, so they stay", "others")
    for line in merge_lines(report, verbosity):
        console.print(line, highlight=False)
    say(f"{facts.nodes:,} → {after.nodes:,}", "nodes")
    say(f"{facts.parameters:,} → {after.parameters:,}", "params")
    say(_macs(facts, after), "MACs")
    for note in report.notes:
        say(f"note: {note}", style="dim")


def _macs(facts: Facts, after: Facts) -> str:
    before, then = str(facts.macs.total), str(after.macs.total)
    told = before if before == then else f"{before} → {then}"
    if not facts.macs.uncounted:
        return f"{told} a run"
    missing = ", ".join(f"{n} {printable(op)}" for op, n in facts.macs.uncounted.items())
    return f"{told} a run, and what is not known of {missing} (--input-shape gives sizes)"


def render_comparison(
    found: Comparison, both: Sequence[Inspected], console: Console, verbosity: int = 0
) -> None:
    """Print two models side by side: numbers, then what became of the first one's nodes."""
    say = _sayer(console)
    first, second = both
    before, after = first.facts, second.facts
    assert before is not None
    assert after is not None
    say(f"{first.path} beside {second.path}", style="bold")
    counts, others = Counter(before.ops), Counter(after.ops)
    rows = [
        *(
            [op, f"{counts[op]:,}", f"{others[op]:,}", _signed(others[op] - counts[op])]
            for op in sorted({*counts, *others}, key=lambda op: (-max(counts[op], others[op]), op))
            if verbosity or counts[op] != others[op]
        ),
        _numbers("nodes", before.nodes, after.nodes),
        _numbers("params", before.parameters, after.parameters),
        _numbers("bytes", first.bytes, second.bytes),
        ["MACs", str(before.macs.total), str(after.macs.total), ""],
    ]
    headings = ("first", "second", "difference")
    columns = (Column(""), *(Column(heading, number=True) for heading in headings))
    print_table(console, columns, rows)
    console.print()
    counted = (f"{n} {fate.value}" for fate in Fate if (n := found.counts[fate]))
    say(", ".join(counted), "nodes")
    lines = list(_fate_lines(found))
    shown = lines if verbosity else lines[:_ROWS]
    for name, line in shown:
        say(line, name)
    _say_more(say, len(lines) - len(shown))


def _numbers(name: str, first: int, second: int) -> list[str]:
    return [name, f"{first:,}", f"{second:,}", _signed(second - first)]


def _signed(difference: int) -> str:
    return f"{difference:+,}" if difference else ""


def _fate_lines(found: Comparison) -> Iterator[tuple[str, str]]:
    """What is not as it was: what went into one node in one line, all else node by node."""
    went: dict[tuple[Fate, str], list[str]] = defaultdict(list)
    for node in found.nodes:
        if node.fate in (Fate.ABSORBED, Fate.REPLACED):
            went[node.fate, node.into].append(node.op)
    for (fate, into), ops in went.items():
        how = "into" if fate is Fate.ABSORBED else "by"
        yield fate.value, f"{' '.join(ops)} {how} {printable(into)}"
    absorbed = {into for _, into in went}
    for fate in (Fate.GONE, Fate.NEW, Fate.RENAMED, Fate.CHANGED):
        for node in found.nodes:
            # What absorbed something is told already.
            if node.fate is fate and not (fate is Fate.CHANGED and node.into in absorbed):
                into = f", now {node.into}" if fate is Fate.RENAMED else ""
                yield fate.value, printable(f"{node.op} {node.name}{into}")


def _sayer(console: Console) -> Callable[..., None]:
    def say(text: str, name: str | None = None, style: str = "") -> None:
        line = Text(text, style=style)
        if name is not None:
            line = Text.assemble((f"{name:<{_WIDTH}}", "bold"), line)
        # Names and paths are for copying: only the terminal itself may break a line.
        console.print(line, highlight=False, soft_wrap=True)

    return say


def _say_more(say: Callable[..., None], number: int) -> None:
    if number > 0:
        say(f"… and {number:,} more (-v lists them all)", style="dim")
