"""What a notebook shows of a result: markup alone, its style kept to itself."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from page_names import HOSTILE


def test_a_fold_its_report_and_its_verification_show_themselves(folded: Any) -> None:
    assert folded._repr_html_() == folded.report._repr_html_()
    shown = folded.report._repr_html_()
    assert "<strong>PASS</strong>" in shown
    assert "2 of 3" in shown
    judged = folded.report.verification._repr_html_()
    assert "<strong>PASS</strong>" in judged
    assert "optimisation disabled" in judged


def test_it_is_well_formed_and_has_no_script_and_no_name_as_markup(folded: Any) -> None:
    shown = folded._repr_html_()
    assert "<script" not in shown
    assert " onerror=alert(1)&gt;" in shown
    root = ElementTree.fromstring(shown)
    titles = [title.text for title in root.iter("title")]
    assert f"Conv {HOSTILE}" in titles


def test_both_graphs_are_drawn_and_the_norms_are_coloured(folded: Any) -> None:
    root = ElementTree.fromstring(folded._repr_html_())
    before, after = (svg for svg in root.iter("svg") if svg.get("role") == "img")
    graph = folded.report.to_json(detailed=True)["graph"]
    for svg, side in ((before, graph["before"]), (after, graph["after"])):
        assert len(list(svg.iter("rect"))) == len(side["nodes"]) + 2
    fills = [rect.get("fill") for rect in before.iter("rect")]
    assert fills.count("#12976f") == 8
    assert fills.count("#d47a12") == 4


def test_its_style_reaches_nothing_else_on_the_page(folded: Any) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", folded._repr_html_(), re.S)
    for selectors in re.findall(r"([^{}]+)\{", style):
        for selector in selectors.split(","):
            assert selector.strip().startswith(".bnfuse-glance"), selector
