"""The checker: does each cut of a certificate follow from the cuts before it?"""

from __future__ import annotations

__all__ = ["Cut", "Proof", "Proving", "check", "unbelieving"]

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from bnfuse.checker.forms import (
    IDENTITY,
    Form,
    NotLinear,
    Relation,
    compose,
    residual,
    units_apart,
)
from bnfuse.checker.graph import PARAMETERS, RANDOM, Graph, Node, NotProved
from bnfuse.checker.laws import LAWS, identity, is_view, reshaped
from bnfuse.checker.linear import expand
from bnfuse.checker.turned import TURNED, Perm, inverse, then

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

UNITS = 16.0
"""Rounding units that a stored constant may differ by: folding in float32 takes about 8."""


def _growth(unit: float) -> float:
    """How far values may grow or shrink beside the original's: float16 ends at 65,504."""
    return 2.0**4 if unit == 2.0**-11 else 2.0**16


_FLOOR = {2.0**-24: 2.0**-149, 2.0**-53: 0.0, 2.0**-11: 2.0**-24, 2.0**-8: 2.0**-133}
"""The smallest number above zero of the type with that rounding unit."""

_CHANGED = {
    "AveragePool",
    "BatchNormalization",
    "GroupNormalization",
    "Hardmax",
    "LogSoftmax",
    "Resize",
    "Scan",
    "Softmax",
    "TopK",
    "Upsample",
}
"""Ops whose meaning changed between operator sets; the others only gained types."""


_OPTIONAL_SHIFT = {"LayerNormalization"}
"""Ops that may lack their last input, a shift."""


@dataclass(frozen=True, eq=False)
class Cut:
    """One claim: ``b = scale · a + shift`` per channel.

    Attributes:
        a: A value of the original.
        b: A value of the candidate.
        law: ``op`` (the same op on related inputs), ``linear`` (equal linear forms), ``view``
            (the same elements in the same order and shape), ``turn`` (behind Transposes) or
            ``turned`` (the same op on values with their axes in another order).
        relation: The claim.
        over: Of ``linear``, ``view`` and ``turn``: the earlier cuts (a, b) that it is about.
    """

    a: str
    b: str
    law: str
    relation: Relation = IDENTITY
    over: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Proof:
    """What was reached: the largest residual in rounding units, and where it is.

    Attributes:
        units: The largest residual.
        where: The value and the coefficient that it was met at.
        cuts: How many claims were checked.
    """

    units: float
    where: str
    cuts: int


@dataclass(eq=False)
class Proving:
    """Two models and the relations that are known so far. Every one of them was checked here.

    The prover adds cuts by the same methods, so what it finds is what the checker accepts.
    """

    original: Graph
    candidate: Graph
    known: dict[tuple[str, str], Relation] = field(default_factory=dict)
    turned: dict[tuple[str, str], Perm] = field(default_factory=dict)
    units: float = 0.0
    where: str = ""

    def begin(self) -> None:
        """Demand the same interface, and relate the inputs.

        Raises:
            NotProved: The interfaces differ.
        """
        for mine, theirs, what in (
            (self.original.inputs, self.candidate.inputs, "input"),
            (self.original.outputs, self.candidate.outputs, "output"),
        ):
            if list(mine) != list(theirs):
                raise NotProved(f"the {what}s have other names or another order")
            for name, info in mine.items():
                if not _same_type(info.type, theirs[name].type, exact=what == "input"):
                    raise NotProved(f"the {what} {name!r} has another type or shape", name)
        self.known.update({(name, name): IDENTITY for name in self.original.inputs})

    def finish(self) -> None:
        """Demand that every output is equal.

        Raises:
            NotProved: One is not.
        """
        for name in self.original.outputs:
            relation = self.known.get((name, name))
            if relation is None and self._equal_constants(name, name):
                continue
            if relation is None or not relation.is_identity:
                raise NotProved(f"the output {name!r} was not shown to be equal", name)

    def admit(self, cut: Cut) -> None:
        """Check one cut and remember it.

        Raises:
            NotProved: It does not follow.
        """
        if cut.law == "op":
            self.same_op(cut.a, cut.b)
        elif cut.law == "linear":
            self.same_form(cut)
        elif cut.law == "view":
            self.same_view(cut)
        elif cut.law == "turn":
            self.turn(cut)
        elif cut.law == "turned":
            self.same_op_turned(cut.a, cut.b)
        else:
            raise NotProved(f"there is no law {cut.law!r}", cut.b)

    def same_op(self, a: str, b: str) -> None:
        """The same op on related inputs: its law gives the relations of all its results."""
        (node, place), (other, other_place) = (
            self._made(self.original, a),
            self._made(self.candidate, b),
        )
        if place != other_place or node.op != other.op:
            raise NotProved(f"{node.op} and {other.op} are different ops", b)
        step = _Step(node, other, self)
        try:
            step.demand_same_attributes()
            found = LAWS.get(node.op, identity)(step)
        except NotProved as refusal:
            raise NotProved(str(refusal), b, refusal.wrong) from None
        except NotLinear as refusal:
            raise NotProved(str(refusal), b) from None
        results = found if isinstance(found, list) else [found] * len(node.outputs)
        for x, y, relation in zip(node.outputs, other.outputs, results, strict=True):
            if x and y:
                self._remember(x, y, relation)

    def same_form(self, cut: Cut) -> None:
        """Two linear forms of values that are related: their coefficients agree."""
        try:
            mine, theirs, unit = self.forms(cut.a, cut.b, cut.over)
            wanted = mine.after(cut.relation)
            units, where = residual(wanted, theirs, unit, _FLOOR[unit])
        except NotLinear as refusal:
            raise NotProved(str(refusal), cut.b) from None
        if not units <= UNITS:
            raise NotProved(f"{where} differs by {units:.3g} rounding units", cut.b, wrong=True)
        if units > self.units:
            self.units, self.where = units, f"{cut.b}: {where}"
        self._remember(cut.a, cut.b, cut.relation)

    def same_view(self, cut: Cut) -> None:
        """The same elements in row-major order, in one shape, whatever shapes came between."""
        if len(cut.over) != 1 or cut.over[0] not in self.known:
            raise NotProved("nothing is known of what is viewed", cut.b)
        x, y = cut.over[0]
        for graph, name, start in ((self.original, cut.a, x), (self.candidate, cut.b, y)):
            while name != start:
                node, _ = self._made(graph, name)
                if not is_view(graph, node):
                    raise NotProved(f"{node.op} does not keep the order of elements", cut.b)
                name = node.inputs[0]
        shape = self.original.shape(cut.a)
        pairs = list(zip(shape, self.candidate.shape(cut.b), strict=False))
        open_ = [p for p in pairs if not isinstance(p[0], int) or p[0] != p[1]]
        # One size is told by the count of all elements, if the others are not 0.
        told = not open_ or (len(open_) == 1 and all(p[0] != 0 for p in pairs))
        different = any(isinstance(p, int) and isinstance(q, int) for p, q in open_)
        if len(shape) != len(self.candidate.shape(cut.b)) or not told or different:
            raise NotProved("shapes that cannot be told to be the same", cut.b)
        relation = reshaped(self.known[x, y], self.original.shape(x), shape)
        self._remember(cut.a, cut.b, relation)

    def turn(self, cut: Cut) -> None:
        """Transposes on either side, or both, of values that are equal up to a turn."""
        if len(cut.over) != 1:
            raise NotProved("nothing is known of what is turned", cut.b)
        x, y = cut.over[0]
        perm = self.perm(x, y)
        mine, theirs = (
            self._turns(graph, name, start, perm)
            for graph, name, start in ((self.original, cut.a, x), (self.candidate, cut.b, y))
        )
        self._remember_turned(cut.a, cut.b, then(then(inverse(mine), perm), theirs))

    def _turns(self, graph: Graph, name: str, start: str, perm: Perm) -> Perm:
        total = tuple(range(len(perm)))
        while name != start:
            node, _ = self._made(graph, name)
            if node.op != "Transpose":
                raise NotProved(f"{node.op} is no turn", name)
            own = tuple(node.attributes["perm"] or reversed(range(len(perm))))
            if sorted(own) != list(range(len(perm))):
                raise NotProved("a Transpose of another rank", name)
            total, name = then(own, total), node.inputs[0]
        return total

    def perm(self, a: str, b: str) -> Perm:
        """How a value is turned against another that has the same numbers."""
        relation = self.relation_of(a, b)
        if (a, b) in self.turned:
            return self.turned[a, b]
        if relation is None or not relation.is_identity:
            raise NotProved(f"{a!r} and {b!r} are not known to have the same numbers", b)
        return tuple(range(len(self.original.shape(a))))

    def _remember_turned(self, a: str, b: str, perm: Perm) -> None:
        if perm == tuple(range(len(perm))):
            self._remember(a, b, IDENTITY)
        elif self.original.dtype(a) != self.candidate.dtype(b):
            raise NotProved(f"{b!r} has another type than {a!r}", b)
        else:
            self.turned[a, b] = perm

    def same_op_turned(self, a: str, b: str) -> None:
        """The same op on values that are all turned in one way."""
        node, other = self._made(self.original, a)[0], self._made(self.candidate, b)[0]
        if node.op != other.op or node.op not in TURNED or len(node.inputs) != len(other.inputs):
            raise NotProved(f"no law turns {node.op} into {other.op}", b)
        if (node.outputs, other.outputs) != ((a,), (b,)):
            raise NotProved(f"{node.op} has several results", b)
        step = _Step(node, other, self)
        data = range(1 if node.op in PARAMETERS else len(node.inputs))
        perms = {
            self.perm(node.inputs[place], other.inputs[place])
            for place in data
            if not step.is_constant(place)
        }
        if len(perms) != 1:
            raise NotProved("the operands are turned in different ways", b)
        self._remember_turned(a, b, TURNED[node.op](step, perms.pop()))

    def forms(self, a: str, b: str, over: Sequence[tuple[str, str]]) -> tuple[Form, Form, float]:
        """Both values as linear forms of the original's values in ``over``.

        Returns:
            The original's form, with what the relations' shifts come to in its magnitudes; the
            candidate's; and the rounding unit of the candidate's constants.
        """
        relations = {}
        for x, y in over:
            if (x, y) not in self.known:
                raise NotProved(f"nothing is known of {x!r} and {y!r}", b)
            if y in relations:
                raise NotProved(f"{y!r} is named twice", b)
            relations[y] = x, self.known[x, y]
        mine = expand(self.original, a, [x for x, _ in over])
        theirs = expand(self.candidate, b, list(relations))
        limit = _growth(theirs.unit)
        try:
            form, sizes = _substituted(theirs.form, relations)
        except NotLinear as refusal:
            raise NotProved(str(refusal), b) from None
        for name, (low, high) in theirs.reach.items():
            lowest, highest = mine.reach.get(relations[name][0], (np.inf, 0.0))
            if high > limit * highest or low * limit < lowest:
                raise NotProved(f"values on the way to {b!r} grow or shrink beyond {limit:g}", b)
        constant = mine.form.constant
        top = max(float(np.max(constant.magnitude, initial=0.0)), mine.top)
        if theirs.top > limit * max(top, 1.0):
            raise NotProved(f"constants on the way to {b!r} grow beyond {limit:g} times", b)
        sized = compose(constant, Relation.of(sizes.axis, 1.0, 0.0, sizes.magnitude))
        # Where the candidate stores nothing, the rounding is that of the relation it rests on.
        return Form(mine.form.maps, sized), form, theirs.unit if theirs.constants else mine.unit

    def _remember(self, a: str, b: str, relation: Relation) -> None:
        if self.original.dtype(a) != self.candidate.dtype(b):
            raise NotProved(f"{b!r} has another type than {a!r}", b)
        if not relation.is_identity:
            self._guard(a, b, relation)
        self.known[a, b] = relation

    def _guard(self, a: str, b: str, relation: Relation) -> None:
        """Demand numbers that the candidate's type bears where the original's were borne."""
        limit = _growth(self.candidate.unit(b))
        sizes = np.abs(relation.scale)
        if not all(np.isfinite(part).all() for part in relation.parts) or np.any(sizes == 0.0):
            raise NotProved("a relation with a scale of 0 or with no number", b)
        if np.any(sizes > limit) or np.any(sizes * limit < 1.0):
            raise NotProved(f"{b!r} is more than {limit:g} times larger or smaller than {a!r}", b)
        if np.any(np.abs(relation.shift) > limit):
            raise NotProved(f"{b!r} is shifted by more than {limit:g}", b)
        shape = self.original.shape(a)
        axis = relation.axis
        if axis is not None and not (
            relation.scale.ndim == 1
            and 0 <= axis < len(shape)
            and shape[axis] == relation.scale.size
        ):
            raise NotProved(f"a relation along no axis of {a!r}", b)

    def _made(self, graph: Graph, name: str) -> tuple[Node, int]:
        if name not in graph.producers:
            raise NotProved(f"no node gives {name!r}", name)
        return graph.producers[name]

    def relation_of(self, a: str, b: str) -> Relation | None:
        """What is known of two values; equal constants are equal."""
        found = self.known.get((a, b))
        if found is None and self._equal_constants(a, b):
            return IDENTITY
        return found

    def _equal_constants(self, a: str, b: str) -> bool:
        x, y = self.original.constant(a), self.candidate.constant(b)
        if x is None or y is None or x.shape != y.shape:
            return False
        if self.original.dtype(a) != self.candidate.dtype(b):
            return False
        return bool(np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))


@dataclass(frozen=True, eq=False)
class _Step:
    """Two nodes of one op, as the laws see them."""

    a: Node
    b: Node
    known: Proving

    @property
    def original(self) -> Graph:
        return self.known.original

    @property
    def candidate(self) -> Graph:
        return self.known.candidate

    def demand_same_attributes(self) -> None:
        """Demand the same op in the same words, parameters by their numbers."""
        op = self.a.op
        if op in RANDOM:
            raise NotProved(f"{op} draws")
        for node in (self.a, self.b):
            if (node.opset if "::" not in op else 1) < 1:
                raise NotProved("an operator set without a version")
        if self._means_otherwise() and not _same_schema(op, self.a.opset, self.b.opset):
            raise NotProved(f"{op} means something else in another operator set")
        parameters = PARAMETERS.get(op, ())
        names = {*self.a.attributes, *self.b.attributes} - set(parameters)
        for name in names - self._unread():
            x, y = (_attribute(node, name, (self.a, self.b)) for node in (self.a, self.b))
            if x != y:
                raise NotProved(f"{name} of {op} differs")
        if len(self.a.outputs) != len(self.b.outputs):
            raise NotProved(f"{op} has other outputs")
        varies = parameters or op in _OPTIONAL_SHIFT
        if not varies and len(self.a.inputs) != len(self.b.inputs):
            raise NotProved(f"{op} has other inputs")
        for name in parameters:
            if op not in ("Clip", "Pad") or name == "pads" or name == "axes":
                self._demand_same_parameter(name)
        self._demand_same_bodies()

    def _unread(self) -> set[str]:
        """Attributes that say nothing here."""
        if self.a.op != "Reshape":
            return set()
        shapes = [
            graph.constant(node.inputs[1]) if len(node.inputs) > 1 else None
            for graph, node in ((self.original, self.a), (self.candidate, self.b))
        ]
        return {"allowzero"} if all(s is not None and np.all(s) for s in shapes) else set()

    def _means_otherwise(self) -> bool:
        """Whether another operator set has another meaning of this node."""
        if self.a.op == "AveragePool":
            # Whole windows are what they were.
            return bool(self.a.attributes["ceil_mode"] or min(self.a.opset, self.b.opset) < 10)
        return self.a.op in _CHANGED

    def _demand_same_parameter(self, name: str) -> None:
        graphs = ((self.original, self.a), (self.candidate, self.b))
        values = []
        for graph, node in graphs:
            try:
                values.append(graph.parameter(node, name))
            except NotProved:
                place = 1 + PARAMETERS[node.op].index(name)
                if len(values) == 0:
                    other = self.b.inputs[place] if place < len(self.b.inputs) else ""
                    relation = self.known.relation_of(self.a.inputs[place], other)
                    if relation is not None and relation.is_identity:
                        return
                raise
        x, y = values
        if x != y:
            raise NotProved(f"{name} of {self.a.op} differs")

    def _demand_same_bodies(self) -> None:
        for attribute in self.a.proto.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                for name in _captured(attribute.g):
                    relation = self.known.relation_of(name, name)
                    if relation is None or not relation.is_identity:
                        raise NotProved(f"the body of {self.a.op} reads {name!r}")

    def relation(self, place: int) -> Relation:
        x, y = self.a.inputs[place], self.b.inputs[place] if place < len(self.b.inputs) else ""
        found = self.known.relation_of(x, y)
        if found is None:
            raise NotProved(f"input {place} of {self.a.op} was not matched")
        return found

    def is_constant(self, place: int) -> bool:
        return self.original.constant(self.a.inputs[place]) is not None

    def constants(self, place: int) -> tuple[Any, Any]:
        found = []
        for graph, node in ((self.original, self.a), (self.candidate, self.b)):
            given = place < len(node.inputs) and node.inputs[place]
            found.append(graph.constant(node.inputs[place]) if given else None)
        return found[0], found[1]

    def constant_follows(self, place: int, relation: Relation, rank: int) -> None:
        x, y = self.constants(place)
        if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype:
            raise NotProved(f"input {place} of {self.a.op} is another constant")
        if relation.is_identity and np.array_equal(x, y):
            return
        if x.dtype.kind != "f":
            raise NotProved(f"input {place} of {self.a.op} is another constant")
        axes = [1] * rank
        if relation.axis is not None:
            axes[relation.axis] = -1
        scale, shift = relation.scale.reshape(axes), relation.shift.reshape(axes)
        want = scale * x + shift
        size = np.abs(scale * x) + np.abs(shift)
        unit = self.candidate.unit(self.b.inputs[place])
        if want.shape != y.shape and x.size != 1:
            raise NotProved(f"input {place} of {self.a.op} is another constant")
        if not np.all(np.abs(want - y) <= UNITS * unit * size + _FLOOR[unit]):
            raise NotProved(f"input {place} of {self.a.op} is another constant", wrong=True)

    def close(self, place: int, want: Any, got: Any, size: Any) -> None:
        unit = self.candidate.unit(self.b.inputs[place])
        units, where = units_apart(want, got, size, unit, _FLOOR[unit])
        what = f"input {place} of {self.a.op}"
        if not units <= UNITS:
            raise NotProved(f"{where} of {what} differs by {units:.3g} rounding units", wrong=True)
        if units > self.known.units:
            self.known.units, self.known.where = units, f"{self.b.outputs[0]}: {where} of {what}"

    def parameter(self, name: str) -> Any:
        value = self.original.parameter(self.a, name)
        if value != self.candidate.parameter(self.b, name):
            raise NotProved(f"{name} of {self.a.op} differs")
        return value

    def shape(self, place: int) -> tuple[int | str | None, ...]:
        return self.original.shape(self.a.inputs[place])

    def result(self) -> tuple[int | str | None, ...]:
        return self.original.shape(self.a.outputs[0])


def _substituted(form: Form, relations: dict[str, tuple[str, Relation]]) -> tuple[Form, Relation]:
    """A form over the candidate's values, over the original's; and what their shifts come to."""
    total = Form({}, form.constant)
    sizes = IDENTITY
    for name, m in form.maps.items():
        a, relation = relations[name]
        if m.kind == "scale":
            part = Form.value(a, relation).after(Relation.of(m.axis, m.coefficients))
            maps, moved = part.maps, part.constant
        else:
            maps, moved = {a: m.before(relation)}, IDENTITY
            if np.any(relation.magnitude):
                shift, size = m.of_constant(relation)
                moved = Relation.of(m.axis, 1.0, shift, size)
        total = total + Form(maps, moved)
        sizes = compose(sizes, moved)
    return total, sizes


def _attribute(node: Node, name: str, pair: tuple[Node, Node]) -> Any:
    value = node.attributes.get(name)
    if value is None:
        newest = max(pair, key=lambda n: n.opset)
        if "::" not in node.op and newest.opset != node.opset:
            schema = onnx.defs.get_schema(node.op, newest.opset)
            if name in schema.attributes and schema.attributes[name].default_value.name:
                value = onnx.helper.get_attribute_value(schema.attributes[name].default_value)
    return value


def _same_schema(op: str, version: int, other: int) -> bool:
    since = [onnx.defs.get_schema(op, v).since_version for v in (version, other)]
    return since[0] == since[1]


def _same_type(a: onnx.TypeProto, b: onnx.TypeProto, *, exact: bool) -> bool:
    if exact or not a.HasField("tensor_type"):
        return bool(a == b)
    x, y = a.tensor_type, b.tensor_type
    if x.elem_type != y.elem_type:
        return False
    if not (x.HasField("shape") and y.HasField("shape")):
        return True
    dims = zip(x.shape.dim, y.shape.dim, strict=False)
    return len(x.shape.dim) == len(y.shape.dim) and all(
        not (p.HasField("dim_value") and q.HasField("dim_value")) or p.dim_value == q.dim_value
        for p, q in dims
    )


def _captured(graph: onnx.GraphProto) -> set[str]:
    """The values of outer graphs that a body reads."""
    own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    read: set[str] = set()
    for node in graph.node:
        read.update(i for i in node.input if i and i not in own)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                read.update(_captured(attribute.g) - own)
        own.update(node.output)
    read.update(o.name for o in graph.output if o.name not in own)
    return read


def check(original: Graph, candidate: Graph, cuts: Iterable[Cut]) -> Proof:
    """Check every cut in order, then the outputs.

    Raises:
        NotProved: One does not follow from those before it, or an output was not reached.
    """
    proving, count = Proving(original, candidate), 0
    with unbelieving():
        proving.begin()
        for cut in cuts:
            proving.admit(cut)
            count += 1
        proving.finish()
    return Proof(proving.units, proving.where, count)


@contextmanager
def unbelieving() -> Iterator[None]:
    """Let what nothing honest would write, in a file or a certificate, show nothing.

    Raises:
        NotProved: In the place of what Python, numpy or onnx raise of it.
    """
    try:
        yield
    except (NotProved, OSError):
        raise
    except Exception as error:
        raise NotProved(f"it cannot be followed: {type(error).__name__}: {error}") from error
