"""The checker: does each cut of a certificate follow from the cuts before it?"""

from __future__ import annotations

__all__ = ["Cut", "Proof", "Proving", "check", "unbelieving"]

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx

from bnfuse.checker.attributes import demand_same
from bnfuse.checker.forms import Form, residual
from bnfuse.checker.graph import Graph
from bnfuse.checker.laws import law_of
from bnfuse.checker.linear import expand
from bnfuse.checker.nodes import PARAMETERS, NotProved, need
from bnfuse.checker.relations import IDENTITY, Relation, compose, ordered, then
from bnfuse.checker.sizes import is_told
from bnfuse.checker.step import UNITS, Step
from bnfuse.checker.turned import turned
from bnfuse.checker.values import FLOOR, UNITS_OF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_LARGEST = 2.0**64
"""What no coefficient on the way exceeds, whatever the original's are."""


def _growth(unit: float) -> float:
    """How far values may grow or shrink beside the original's: float16 ends at 65,504."""
    return 2.0**4 if unit in (2.0**-11, 2.0**-8) else 2.0**16


@dataclass(frozen=True, eq=False)
class Cut:
    """One claim: ``b = scale · a + shift`` per channel.

    Attributes:
        a: A value of the original.
        b: A value of the candidate.
        law: ``op`` (the same op on related inputs), ``linear`` (equal linear forms) or ``turned``
            (the same op on values with their axes in another order).
        relation: The claim; of ``op``, what it says of constants.
        over: Of ``linear``: the earlier cuts (a, b) that the forms are of.
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


class Forms(NamedTuple):
    """Two values as linear forms of the same values.

    Attributes:
        mine: The original's.
        theirs: The candidate's, of what the original's values are.
        unit: The rounding unit of the candidate's constants.
        sizes: Of which the magnitudes speak: what the shifts of the values come to in ``theirs``.
    """

    mine: Form
    theirs: Form
    unit: float
    sizes: Relation

    def measured(self, relation: Relation) -> Form:
        """The original's and then ``relation``, with the shifts of the values in its sizes."""
        mine, sizes = self.mine.after(relation), self.sizes
        more = Relation.of(sizes.axis, 1.0, 0.0, sizes.magnitude)
        return replace(mine, constant=compose(mine.constant, more))


@dataclass(eq=False)
class Proving:
    """Two models and the relations that are known so far. Every one of them was checked here.

    The prover adds cuts by the same methods, so what it finds is what the checker accepts.
    """

    original: Graph
    candidate: Graph
    known: dict[tuple[str, str], Relation] = field(default_factory=dict)
    units: float = 0.0
    where: str = ""

    def begin(self) -> None:
        """Demand the same interface, and relate the inputs.

        Raises:
            NotProved: The interfaces differ.
        """
        for ours, others, what in (
            (self.original.inputs, self.candidate.inputs, "input"),
            (self.original.outputs, self.candidate.outputs, "output"),
        ):
            need(list(ours) == list(others), f"the {what}s have other names or another order")
            for name, info in ours.items():
                same = _same_type(info.type, others[name].type, exact=what == "input")
                need(same, f"the {what} {name!r} has another type or shape", name)
        mine, theirs = (
            {
                name: (t.data_type, tuple(t.dims), graph.stored(t).tobytes())
                for name, t in graph.defaults.items()
            }
            for graph in (self.original, self.candidate)
        )
        need(mine == theirs, "an input that is not fed has another value")
        self.known.update({(name, name): IDENTITY for name in self.original.inputs})

    def finish(self) -> None:
        """Demand that every output is equal.

        Raises:
            NotProved: One is not.
        """
        for name in self.original.outputs:
            need(self.equal(name, name), f"the output {name!r} was not shown to be equal", name)

    def admit(self, cut: Cut) -> None:
        """Check one cut and remember it.

        Raises:
            NotProved: It does not follow.
        """
        try:
            if cut.law == "op":
                self.same_op(cut.a, cut.b, cut.relation)
            elif cut.law == "turned":
                self._same_op_turned(cut.a, cut.b)
            else:
                need(cut.law == "linear", f"there is no law {cut.law!r}")
                self.same_form(cut)
        except NotProved as refusal:
            raise NotProved(str(refusal), cut.b, refusal.wrong) from None

    def same_op(self, a: str, b: str, claim: Relation = IDENTITY) -> None:
        """The same op on related inputs: its law gives the relations of all its results."""
        (node, place), (other, other_place) = self.original.made(a), self.candidate.made(b)
        same = place == other_place and node.op == other.op
        need(same, f"{node.op} and {other.op} are different ops")
        step = Step(node, other, self, claim)
        demand_same(step)
        found = law_of(node.op)(step)
        if isinstance(found, Relation):
            # It is that of the first result; equal are all of them.
            found = [found] * (len(node.outputs) if found.is_identity else 1)
        for x, y, relation in zip(node.outputs, other.outputs, found, strict=False):
            if x and y:
                self._remember(x, y, relation)

    def same_form(self, cut: Cut, forms: Forms | None = None) -> None:
        """Two linear forms of values that are related: their coefficients agree."""
        forms = forms or self.forms(cut.a, cut.b, cut.over)
        _, theirs, unit, _ = forms
        relation = replace(cut.relation, magnitude=np.abs(cut.relation.shift))
        mine, limit = forms.measured(relation), _growth(unit)
        if mine.view or theirs.view:
            self._same_shape(cut)
        units, where = residual(mine, theirs, unit, FLOOR[unit])
        if not units <= UNITS:
            raise NotProved(f"{where} differs by {units:.3g} rounding units", cut.b, wrong=True)
        self.met(units, f"{cut.b}: {where}")
        borne = limit * np.maximum(mine.constant.magnitude, 1.0)
        need(np.all(theirs.constant.magnitude <= borne), f"constants grow beyond {limit:g}")
        own, placed = forms.mine.constant, forms.mine.placed(relation)
        if relation.has_shift and mine.view is None and mine.constant.axis == placed.axis:
            # A shift is the difference of two constants: what follows is measured against those,
            # and where the cut has none of its own, against those of the cuts before.
            whole, here = mine.constant.magnitude, compose(own, placed).magnitude
            relation = replace(relation, magnitude=np.where(own.magnitude > 0, here, whole))
        self._remember(cut.a, cut.b, relation)

    def met(self, units: float, where: str) -> None:
        """Keep the largest residual."""
        if units > self.units:
            self.units, self.where = units, where

    def _same_shape(self, cut: Cut) -> None:
        """Demand of values that have equally many elements that they have one shape."""
        mine, theirs = self.original.shape(cut.a), self.candidate.shape(cut.b)
        need(len(mine) == len(theirs), "shapes of different ranks")
        order = cut.relation.order or range(len(mine))
        need(len(order) == len(mine), "an order of other axes")
        pairs = [(mine[axis], size) for axis, size in zip(order, theirs, strict=True)]
        open_ = [pair for pair in pairs if pair[0] != pair[1] or not is_told(pair[0])]
        # One size is told by the count of all elements, if the others are not 0.
        told = not open_ or (len(open_) == 1 and all(p != 0 for p, _ in pairs))
        different = any(is_told(p) and is_told(q) for p, q in open_)
        need(told and not different, "shapes that cannot be told to be the same")

    def _same_op_turned(self, a: str, b: str) -> None:
        """The same op on values that are all turned in one way."""
        node, other = self.original.made(a)[0], self.candidate.made(b)[0]
        need(node.op == other.op, f"{node.op} and {other.op} are different ops")
        need(len(node.inputs) == len(other.inputs), f"{node.op} has other inputs")
        need((node.outputs, other.outputs) == ((a,), (b,)), f"{node.op} has several results")
        step = Step(node, other, self)
        data = range(1 if node.op in PARAMETERS else len(node.inputs))
        pairs = [(node.inputs[i], other.inputs[i]) for i in data if not step.is_constant(i)]
        found = [self.relation_of(*pair) for pair in pairs]
        plain = [r is not None and replace(r, order=None).is_identity for r in found]
        orders = {r.order for r in found if r is not None}
        need(all(plain) and len(orders) == 1, "operands that are not turned in one way")
        order = orders.pop()
        need(order is not None, "nothing is turned")
        self._remember(a, b, replace(IDENTITY, order=then(None, turned(step, order or ()))))

    def forms(self, a: str, b: str, over: Sequence[tuple[str, str]]) -> Forms:
        """Both values as linear forms of the original's values in ``over``."""
        names = {y: x for x, y in over}
        need(len(names) == len(over), "a value is named twice")
        need(all(pair in self.known for pair in over), "nothing is known of what it is a form of")
        mine = expand(self.original, a, list(names.values()))
        theirs = expand(self.candidate, b, list(names), is_candidate=True)
        need(
            mine.form.maps and theirs.form.maps, "a number that is repeated, how often nobody tells"
        )
        limit = _growth(theirs.unit)
        orders = {self.known[names[name], name].order for name in theirs.form.maps}
        need(len(orders) <= 1, "values whose axes are in different orders")
        order, sizes, constant = (*orders, None)[0], IDENTITY, theirs.form.constant
        need(order is None or theirs.form.view is None, "another shape of a Transpose")
        form = replace(
            theirs.form,
            maps={},
            constant=constant.along(ordered(constant.axis, order)),
            order=then(order, theirs.form.order),
        )
        for name, m in theirs.form.maps.items():
            relation = self.known[names[name], name]
            m, own = m.placed(order), mine.form.maps.get(names[name])
            counted = m.axis is None or (own is not None and own.axis == m.axis)
            count = m.c.shape[1] * m.groups
            known = counted or self.original.shape(names[name])[m.axis or 0] == count
            need(known, "a size that only the candidate fixes")
            moved = m.of_constant(relation)
            form = form + replace(form, maps={names[name]: m.before(relation)}, constant=moved)
            sizes = compose(sizes, moved)
        for name, (low, high) in theirs.reach.items():
            lowest, highest = mine.reach.get(names[name], (np.inf, 0.0))
            bounded = high <= min(limit * highest, _LARGEST) and low * limit >= lowest
            need(bounded, f"values on the way grow or shrink beyond {limit:g}")
        constant = mine.form.constant
        top = max(float(np.max(constant.magnitude, initial=1.0)), mine.top)
        need(theirs.top <= limit * top, f"constants on the way grow beyond {limit:g}")
        # What cancels in the original is no number that another may be held to.
        pairs = [(m.peaks, m.peaks_of(m.size)) for m in mine.form.maps.values()]
        pairs.append((np.abs(constant.shift), constant.magnitude))
        kept = all(np.all(size <= limit * np.maximum(left, 1.0)) for left, size in pairs)
        need(kept, "what cancels in the original")
        # Where nothing is stored, the rounding is that of the relations that it rests on.
        stored = next((e for e in (theirs, mine) if e.constants), None)
        unit = stored.unit if stored else UNITS_OF.get(self.candidate.dtype(b), theirs.unit)
        return Forms(mine.form, form, unit, sizes)

    def _remember(self, a: str, b: str, relation: Relation) -> None:
        """Keep a relation whose numbers the candidate's type bears where the original's were."""
        need(self.original.dtype(a) == self.candidate.dtype(b), f"another type than {a!r}")
        shape = () if relation.is_identity else self.original.shape(a)
        order = relation.order or tuple(range(len(shape)))
        need(sorted(order) == list(range(len(shape))), f"no order of the axes of {a!r}")
        if not replace(relation, order=None).is_identity:
            limit, sizes = _growth(self.candidate.unit(b)), np.abs(relation.scale)
            borne = np.all(sizes <= limit) and np.all(sizes * limit >= 1.0)
            need(borne, f"more than {limit:g} times larger or smaller than {a!r}")
            shift = np.abs(relation.shift)
            borne = np.all(shift <= limit) and np.all(shift <= limit * sizes)
            need(borne, f"shifted by more than {limit:g}")
            axis = relation.axis
            along = axis is None or (relation.scale.ndim == 1 and 0 <= axis < len(shape))
            need(
                along and (axis is None or shape[axis] == relation.scale.size), f"no axis of {a!r}"
            )
        self.known[a, b] = relation

    def relation_of(self, a: str, b: str) -> Relation | None:
        """What is known of two values; equal constants are equal."""
        a, b = self.original.same(a), self.candidate.same(b)
        if (a, b) in self.known:
            return self.known[a, b]
        x, y = self.original.constant(a), self.candidate.constant(b)
        if x is None or y is None or x.shape != y.shape:
            return None
        same = self.original.dtype(a) == self.candidate.dtype(b)
        float_ = x.dtype.kind == "f"
        same = same and np.array_equal(x, y, equal_nan=float_)
        same = same and not (float_ and np.any(np.signbit(x) != np.signbit(y)))
        return IDENTITY if same else None

    def equal(self, a: str, b: str) -> bool:
        """Whether two values are known to be equal."""
        relation = self.relation_of(a, b)
        return relation is not None and relation.is_identity


def _same_type(a: onnx.TypeProto, b: onnx.TypeProto, *, exact: bool) -> bool:
    if exact or not a.HasField("tensor_type"):
        return bool(a == b)
    x, y = a.tensor_type, b.tensor_type
    if not (x.HasField("shape") and y.HasField("shape")):
        return bool(x.elem_type == y.elem_type)
    sizes = [
        [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim] for t in (x, y)
    ]
    return (
        x.elem_type == y.elem_type
        and len(sizes[0]) == len(sizes[1])
        and all(None in pair or pair[0] == pair[1] for pair in zip(*sizes, strict=True))
    )


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
