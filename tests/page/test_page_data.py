"""What the page shows: which node took what, the numbers of each norm, the bound of each error."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import Net
from page_names import HOSTILE

import bnfuse
from bnfuse.errors import UsageError
from bnfuse.page import report_page
from bnfuse.page.drawing import drawing, net_of
from bnfuse.page.errors import error_rows
from bnfuse.verifying.telling.saved import from_json
from bnfuse.verifying.verdicts.judge import judge_floats
from bnfuse.verifying.verdicts.thresholds import Thresholds


def names(side: dict[str, Any], places: list[int]) -> list[str]:
    return [side["boxes"][place][0] for place in places]


def test_each_norm_is_linked_to_its_nodes_and_to_what_took_it(run: dict[str, Any]) -> None:
    data = drawing(net_of(run))
    for site, fold in zip(data["sites"], run["folds"], strict=True):
        assert names(data["before"], site["nodes"]) == fold["nodes"]
        ops = [data["before"]["boxes"][place][1] for place in site["nodes"]]
        assert " ".join(ops) == fold["spelling"]
    first, *_, last = data["sites"]
    assert (first["state"], last["state"]) == ("folded", "left")
    assert names(data["after"], first["takers"]) == [HOSTILE]
    assert data["after"]["boxes"][last["takers"][0]][6] == [last["name"]]
    assert first["rules"] == ["absorb after"]
    assert "Sigmoid" in last["reason"]


def test_a_node_that_stays_is_linked_to_itself(run: dict[str, Any]) -> None:
    data = drawing(net_of(run))
    relu = next(n for n, box in enumerate(data["before"]["boxes"]) if box[0].startswith("the "))
    assert names(data["after"], [data["before"]["same"][relu]]) == ["the output's Relu"]


def test_of_several_nodes_of_one_module_the_one_that_computes_the_value_is_linked() -> None:
    node = {"op": "Conv", "module": "twice", "inputs": ["x"]}
    nodes = [{**node, "name": n, "outputs": [f"{n}.out"]} for n in ("one", "two")]
    graph = {"inputs": ["x"], "outputs": [], "nodes": nodes}
    site = {"name": "two.out", "module": "", "status": "folded", "into": "Conv twice", "nodes": []}
    net = net_of({"graph": {"before": graph, "after": graph}, "folds": [site]})
    assert net.links is not None
    assert net.after is not None
    assert [net.after.boxes[place].name for place in net.links.takers[0]] == ["two"]


def test_two_norms_in_a_row_each_have_the_constants_of_the_model() -> None:
    net = Net(dtype=np.float64)
    x = net.conv(net.input(["N", 3, 8, 8]), 3, 4)
    report = bnfuse.fold(net.model(net.norm(net.batch_norm(x, 4), 4, 2)), verified=False).report
    constants = [np.asarray(tensor) for tensor in map(_array, net.constants)]
    _, gamma, beta, mean, variance, centre, spread, epsilon, factor, offset = constants
    first, second = (site.channels.to_json() for site in report.norms if site.channels)
    deviation = np.sqrt(variance + 1e-3)
    _near(first["scale"], gamma / deviation)
    _near(first["shift"], beta - mean * gamma / deviation)
    _near(first["mean"], mean)
    _near(first["deviation"], deviation)
    scale = (factor / np.sqrt(spread + epsilon)).ravel()
    _near(second["scale"], scale)
    _near(second["shift"], offset.ravel() - centre.ravel() * scale)
    assert first["axis"] == second["axis"] == 1


def _array(tensor: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.to_array(tensor)


def _near(found: list[float], wanted: Any) -> None:
    # Six digits are written.
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_graphs_and_the_constants_are_there_only_where_they_are_asked_for(folded: Any) -> None:
    plain, full = folded.report.to_json(), folded.report.to_json(detailed=True)
    assert "graph" not in plain
    assert all("channels" not in site for site in plain["folds"])
    assert [len(site["channels"]["scale"]) for site in full["folds"]] == [8, 8, 8]
    assert "Sub" in {node["op"] for node in full["graph"]["before"]["nodes"]}


def test_the_bound_is_the_one_that_the_verdict_goes_by(run: dict[str, Any]) -> None:
    rows = error_rows(run)
    assert [row.verdict for row in rows] == ["PASS", "PASS"]
    assert all(0.0 < row.candidate <= row.bound for row in rows)
    outputs = run["parity"][0]["outputs"]
    assert rows[0].bound == outputs[0]["bound"] > 0.0
    (later,) = error_rows({"parity": [{**run["parity"][0], "mode": "as shipped"}]})
    assert later.where.endswith("as shipped")


def test_the_bound_grows_with_the_factor_and_with_the_error_of_the_original(run: Any) -> None:
    saved = from_json(run)
    measures = saved.rows[0].outputs[0].measures

    def bound(factor: float = 2.0, times: float = 1.0) -> float:
        worse = tuple(
            replace(m, original_rms=m.original_rms * times, drawn_rms=0.0, drawn_rms_sd=0.0)
            for m in measures
        )
        return judge_floats("y", "float32", worse, Thresholds(factor=factor)).bound

    assert bound(4.0) > bound() > 0.0
    assert bound(times=100.0) > 10 * bound()


def test_no_name_of_a_model_is_markup(run: dict[str, Any], times: dict[str, Any]) -> None:
    page = report_page(run, times)
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert page.count("<i>") == 0
    assert "b&lt;i&gt;.onnx" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert HOSTILE in [box[0] for box in data["before"]["boxes"]]


def test_the_page_asks_nothing_of_a_network(run: dict[str, Any]) -> None:
    page = report_page(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1]
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert set(re.findall(r"https?://[^\s'\"]+", page)) == {"http://www.w3.org/2000/svg"}
    assert " style=" not in page


def test_the_verdict_stands_first_with_the_proof(run: dict[str, Any]) -> None:
    page = report_page(run)
    head = page[page.index("<header>") : page.index("</header>")]
    assert "<strong>PASS</strong>" in head
    assert "PROVED" in head
    assert "rounding units" in head
    assert "2 of 3" in head


def test_a_failure_says_which_output_and_why(run: dict[str, Any]) -> None:
    failed = copy.deepcopy(run)
    failed |= {"verdict": "FAIL", "reason": "cpu: output 'y' is <wrong>", "proof": None}
    failed["parity"][0]["outputs"][0] |= {"verdict": "FAIL", "reason": "it is <far> off"}
    page = report_page(failed)
    assert 'class="verdict fail"' in page
    assert "&lt;wrong&gt;" in page
    assert '<p class="why">it is &lt;far&gt; off</p>' in page


def test_what_a_failure_was_traced_to_is_told(run: dict[str, Any]) -> None:
    blame = {"number": 3, "of": 7, "sites": ["stem.norm"], "reason": "it differs <there>"}
    part = {"name": "relu_4", "arriving": 0.25, "introduced": 0.125}
    constant = {"tensor": "w<1>", "node": "conv", "verdict": "FAIL", "reason": "9 units off"}
    page = report_page({**run, "blame": blame, "localized": [part], "constants": [constant]})
    assert "application 3 of 7, stem.norm: it differs &lt;there&gt;" in page
    assert "relu_4: 0.125 added here, 0.25 in all" in page
    assert "w&lt;1&gt; of conv: FAIL, 9 units off" in page


def test_the_latency_is_shown_where_it_was_measured(
    run: dict[str, Any], times: dict[str, Any]
) -> None:
    assert 'id="latency"' not in report_page(run)
    page = report_page(run, times)
    assert "0.50 times the first’s time (0.40 to 0.60): faster" in page


def test_a_report_without_graphs_says_how_to_have_them(folded: Any, run: dict[str, Any]) -> None:
    plain = {**run, **folded.report.to_json()}
    del plain["graph"]
    page = report_page(plain)
    assert "--detailed" in page
    assert 'id="before"' not in page


def test_a_net_of_the_size_of_resnet50_makes_a_page_of_less_than_two_megabytes(
    run: dict[str, Any],
) -> None:
    rng = np.random.default_rng(0)
    widths = [
        64,
        *(w for n, w in ((3, 64), (4, 128), (6, 256), (3, 512)) for w in n * [w, w, 4 * w]),
    ]
    folds = [
        {**run["folds"][0], "name": f"layer.{n}", "channels": {"axis": 1} | {
            key: rng.normal(size=width).tolist() for key in ("scale", "shift", "mean", "deviation")
        }}
        for n, width in enumerate([*widths, 256, 512, 1024, 2048])
    ]  # fmt: skip
    assert len(folds) == 53
    assert sum(len(fold["channels"]["scale"]) for fold in folds) == 26560
    graph = run["graph"]["before"]
    nodes = [{**node, "name": f"{n}.{node['name']}"} for n in range(20) for node in graph["nodes"]]
    drawn = {"before": {**graph, "nodes": nodes}, "after": {**graph, "nodes": nodes}}
    assert len(report_page({**run, "folds": folds, "graph": drawn}).encode()) < 2e6


@pytest.mark.parametrize("data", [{}, {"command": "bench", "error": None}, {"command": "schema"}])
def test_what_is_no_report_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no JSON report of that kind"):
        report_page(data)


def test_the_report_of_a_command_that_failed_is_refused_with_its_reason() -> None:
    with pytest.raises(UsageError, match="no file there"):
        report_page({"command": "fold", "error": {"message": "no file there", "hint": ""}})
