"""A verification for machines that read text: JUnit XML and GitHub annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from bnfuse.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.verifying.verdicts.result import Verification

__all__ = ["github_lines", "junit_xml"]


def junit_xml(result: Verification, name: str) -> str:
    """Return one test case per output and row, and one per folded constant.

    A failed check is a ``failure``, one that could not be judged an ``error``; rows that do not
    decide are ``skipped``.
    """
    cases = [*_cases(result)] or [("verdict", result.verdict, result.reason, True)]
    suite = ElementTree.Element(
        "testsuite",
        name=f"bnfuse verify {name}",
        tests=str(len(cases)),
        failures=str(sum(v is Verdict.FAIL and counts for _, v, _, counts in cases)),
        errors=str(sum(v is Verdict.INCONCLUSIVE and counts for _, v, _, counts in cases)),
        skipped=str(sum(not counts for *_, counts in cases)),
    )
    for title, verdict, reason, counts in cases:
        case = ElementTree.SubElement(suite, "testcase", classname="bnfuse.verifying", name=title)
        if not counts:
            ElementTree.SubElement(case, "skipped", message=f"{verdict.value}: {reason}")
        elif verdict is not Verdict.PASS:
            tag = "failure" if verdict is Verdict.FAIL else "error"
            ElementTree.SubElement(case, tag, message=reason).text = reason
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github_lines(result: Verification, file: str) -> list[str]:
    """Return workflow commands that annotate ``file`` with the verdict and the warnings."""
    level = {Verdict.PASS: "notice", Verdict.FAIL: "error", Verdict.INCONCLUSIVE: "warning"}
    lines = [
        _annotation(
            level[result.verdict], file, f"bnfuse verify: {result.verdict.value}", result.reason
        )
    ]
    lines += [_annotation("warning", file, "bnfuse verify", warning) for warning in result.warnings]
    return lines


def _cases(result: Verification) -> Iterator[tuple[str, Verdict, str, bool]]:
    for row in result.rows:
        title = f"{row.provider} optimisation {row.optimization} ({row.mode})"
        bad = [output for output in row.outputs if output.verdict is not Verdict.PASS]
        if not bad and row.verdict is not Verdict.PASS:
            yield title, row.verdict, row.reason, row.decides
        for output in row.outputs:
            yield f"{title}: {output.name}", output.verdict, output.reason, row.decides
    for item in result.constants:
        yield f"constant {item.tensor}", item.verdict, item.reason, True


def _annotation(level: str, file: str, title: str, message: str) -> str:
    return (
        f"::{level} file={_escaped(file, True)},title={_escaped(title, True)}::{_escaped(message)}"
    )


def _escaped(text: str, inside: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inside else text
