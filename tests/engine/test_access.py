"""What is asked of a node that cannot do without it, and how deep a chain of needs may be."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from bnfuse.graph.access import given, graph_of, input_of, is_op, name_of, readers
from bnfuse.graph.evaluation import settle


def test_an_input_that_must_be_there_is_given_or_an_error_that_names_the_node() -> None:
    x = ir.val("x")
    node = ir.node("Clip", [x, None], name="limit")
    assert input_of(node) is x
    with pytest.raises(ValueError, match="Clip 'limit' has no input 1"):
        input_of(node, 1)


def test_an_input_that_may_be_left_out_is_none_in_both_ways_of_leaving_it_out() -> None:
    node = ir.node("Clip", [ir.val("x"), None])
    assert given(node, 0) is node.inputs[0]
    assert given(node, 1) is given(node, 2) is None


def test_a_node_of_no_graph_is_an_error() -> None:
    node = ir.node("Relu", [ir.val("x")], name="alone")
    with pytest.raises(ValueError, match="Relu 'alone' stands in no graph"):
        graph_of(node)
    graph = ir.Graph([], [], nodes=[node])
    assert graph_of(node) is graph


@pytest.mark.parametrize(("domain", "is_standard"), [("", True), ("ai.onnx", True), ("own", False)])
def test_an_operator_is_one_of_the_standard_by_any_of_its_names(domain, is_standard) -> None:
    node = ir.node("Relu", [ir.val("x")], domain=domain)
    assert is_op(node) == is_op(node, "Abs", "Relu") == is_standard
    assert not is_op(node, "Abs")
    assert not is_op(None)


def test_a_node_without_a_name_is_called_after_what_it_computes() -> None:
    outputs = [ir.val("y")]
    assert name_of(ir.Node("", "Relu", [ir.val("x")], outputs=outputs)) == "y"
    assert name_of(ir.Node("", "Relu", [ir.val("x")], outputs=[ir.val("z")], name="n")) == "n"


def test_who_reads_a_shape_or_a_type_is_no_reader_of_numbers() -> None:
    x, other = ir.val("x"), ir.val("other")
    ir.node("Shape", [x])
    ir.node("Size", [x])
    ir.node("CastLike", [other, x])
    assert readers(x) == []
    cast, own = ir.node("CastLike", [x, other]), ir.node("Shape", [x], domain="own")
    assert {use.node for use in readers(x)} == {cast, own}


def test_what_is_needed_is_decided_once_and_first_however_deep_it_lies() -> None:
    order: list[int] = []
    known: dict[int, int] = {3: -1}

    def decide(number: int) -> int:
        order.append(number)
        return known[number - 1] + 1

    deep = 20_000
    assert settle(deep, known, lambda n: [n - 1, n - 1], decide) == deep - 4
    assert order == list(range(4, deep + 1))
    assert settle(deep, known, lambda n: [n - 1], decide) == deep - 4
    assert len(order) == deep - 3
