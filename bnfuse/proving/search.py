"""Find the cuts of a proof: which value of the candidate is which value of the original.

The candidate is walked once, in order. A value is looked for among the original's values that
the same op, or a linear map, makes of what is already matched. Everything found is admitted by
the checker's own code, so a mistake here finds no proof and never a wrong one.
"""

from __future__ import annotations

__all__ = ["Search", "Unmatched"]

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.checker.check import Cut, Proving
from bnfuse.checker.linear import LINEAR
from bnfuse.checker.moving import MOVES
from bnfuse.checker.nodes import VIEWS, NotProved, need
from bnfuse.checker.relations import IDENTITY, Relation
from bnfuse.proving.claims import of_forms, of_tables
from bnfuse.proving.likely import are_compared, may_be, on_one_grid, sources_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bnfuse.checker.graph import Graph
    from bnfuse.checker.nodes import Node

_AFFINE = {"Add", "BatchNormalization", "Div", "Mul", "Neg", "Sub"}

_LAYOUT = {"Transpose", *VIEWS}

_REACH = 60
"""Values of the original that are looked at as the result of a linear map."""

_PIECES = {"Einsum", "Expand", "Gemm", "MatMul", *MOVES}
"""What an affine of each channel may be put together with."""

_PUT_TOGETHER = 1 << 13
"""Values of the original that are looked at where channels are put together."""


@dataclass(frozen=True)
class Unmatched:
    """A value of the candidate that was not found.

    Attributes:
        value: Its name.
        op: The op that makes it.
        reason: Why the best try failed.
        wrong: Whether the form was met and a constant differs beyond rounding.
    """

    value: str
    op: str
    reason: str
    wrong: bool


class Search:
    """One walk over the candidate.

    Attributes:
        cuts: What was found.
        unmatched: What was not, in order.
        tried: What was tried of the first value that was not found.
        assumed: Of ``given``, what was met and not proved.
    """

    def __init__(
        self,
        original: Graph,
        candidate: Graph,
        given: Mapping[tuple[str, str], Relation] | None = None,
    ) -> None:
        """Prepare.

        Args:
            original: The graph that is right.
            candidate: The other.
            given: Relations that are taken for true, so that nothing that is found is a proof.
        """
        self.proving = Proving(original, candidate)
        self.cuts: list[Cut] = []
        self.unmatched: list[Unmatched] = []
        self.tried: list[Cut] = []
        self.assumed: dict[tuple[str, str], Cut] = {}
        self._given = dict(given or {})
        self._original = original
        self._candidate = candidate
        self._matches: dict[str, list[str]] = {}
        self._readers: dict[str, list[Node]] = {}
        self._results = {original.same(name) for name in original.outputs}
        ours, theirs = (Counter(n.op for n in graph.nodes) for graph in (original, candidate))
        self._pieces = {op for op in _PIECES if ours[op] != theirs[op]}
        if not self._pieces.isdisjoint(MOVES):
            self._pieces.update(MOVES)
        for node in original.nodes:
            for name in dict.fromkeys(node.inputs):
                self._readers.setdefault(name, []).append(node)

    def run(self) -> None:
        """Look for every value, and demand that every output was found.

        Raises:
            NotProved: The interfaces differ, or an output was not found to be equal; with the
                first value that has no match, and why.
        """
        self.proving.begin()
        for a, b in list(self.proving.known):
            self._add(a, b)
        for node in self._candidate.nodes:
            if not self._candidate.is_constant(node.outputs[0]):
                self._match(node)
        try:
            self.proving.finish()
        except NotProved as refusal:
            if not self.unmatched:
                raise
            first = self.unmatched[0]
            reason = f"{first.op} {first.value!r}: {first.reason}"
            raise NotProved(reason, first.value, first.wrong) from refusal

    def needed(self) -> list[Cut]:
        """The cuts that the outputs rest on, in order."""
        sides = self._original, self._candidate
        wanted = {(sides[0].same(name), sides[1].same(name)) for name in self._candidate.outputs}
        kept = []
        for cut in reversed(self.cuts):
            if cut.over:
                if (cut.a, cut.b) in wanted:
                    kept.append(cut)
                    wanted.update(cut.over)
                continue
            node = self._original.producers[cut.a][0]
            other = self._candidate.producers[cut.b][0]
            if wanted & set(zip(node.outputs, other.outputs, strict=True)):
                kept.append(cut)
                wanted.update(zip(node.inputs, other.inputs, strict=False))
                if node.bodies:
                    # The body reads what it reads by the same names.
                    wanted.update((name, sides[1].same(name)) for name in sides[0].producers)
        return kept[::-1]

    def _match(self, node: Node) -> None:
        if not self.unmatched:
            self.tried.clear()
        refusals: list[NotProved] = []
        found = self._match_op(node, refusals)
        for b in filter(None, node.outputs if node.op in LINEAR else ()):
            if not (found and node.op in MOVES and self._is_named(b)):
                found = self._match_form(node, b, refusals, found) or found
        if not found and not (self._given and self._assume(node)):
            refusals.sort(key=lambda refusal: not refusal.wrong)
            reason = str(refusals[0]) if refusals else f"no {node.op} of the original reads it"
            wrong = bool(refusals) and refusals[0].wrong
            self.unmatched.append(Unmatched(node.outputs[0], node.op, reason, wrong))

    def _match_op(self, node: Node, refusals: list[NotProved]) -> bool:
        found = False
        for other in self._same_ops(node):
            cut = self._of_op(other, node)
            try:
                self.proving.admit(cut)
            except NotProved as refusal:
                self._try(cut)
                refusals.append(refusal)
                continue
            found = True
            self.cuts.append(cut)
            for x, y in zip(other.outputs, node.outputs, strict=True):
                if (x, y) in self.proving.known:
                    self.proving.known[x, y] = self._given.get((x, y), self.proving.known[x, y])
                    self._add(x, y)
        return found

    def _of_op(self, a: Node, b: Node) -> Cut:
        known = self.proving.known
        pairs = zip(a.inputs, b.inputs, strict=False)
        turned = any(known[pair].order is not None for pair in pairs if pair in known)
        names = a.outputs[0], b.outputs[0]
        return Cut(*names, "turned") if turned else Cut(*names, "op", self._claim(a, b))

    def _claim(self, a: Node, b: Node) -> Relation:
        """What the certificate says of constants: only a Gather's law asks."""
        if a.op != "Gather":
            return IDENTITY
        x, y = self._original.constant(a.inputs[0]), self._candidate.constant(b.inputs[0])
        return IDENTITY if x is None or y is None else of_tables(x, y)

    def _assume(self, node: Node) -> bool:
        b = node.outputs[0]
        pairs = [(other.outputs[0], b) for other in self._same_ops(node)]
        given = [pair for pair in pairs if pair in self._given]
        for pair in given:
            self.proving.known[pair] = self._given[pair]
            self._add(*pair)
        return bool(given)

    def _add(self, a: str, b: str) -> None:
        """Remember a match, and those with the affines of ``a`` that the original computes."""
        matches = self._matches.setdefault(b, [])
        if a in matches:
            return
        matches.append(a)
        stack, seen, pieces = [a], {a}, False
        for value in stack:
            for reader in self._readers.get(value, ()):
                pieces = pieces or reader.op in self._pieces
                known = reader.op in _AFFINE or reader.op in _LAYOUT or reader.op in self._pieces
                if not known or len(stack) > (_PUT_TOGETHER if pieces else _REACH):
                    continue
                for after in reader.outputs:
                    if after in seen or after in matches:
                        continue
                    seen.add(after)
                    stack.append(after)
                    cut = self._affine_of(after, b, pieces)
                    if cut is not None:
                        self.cuts.append(cut)
                        matches.append(after)

    def _affine_of(self, a: str, b: str, pieces: bool) -> Cut | None:
        """What is put together, over what it is matched with; over what makes that, if need be."""
        if not self._looks_like(a, b, pieces):
            return None
        return self._cut(a, b, [b], [])

    def _looks_like(self, a: str, b: str, pieces: bool) -> bool:
        """Whether a value may be an affine of another one; among pieces, only the whole may."""
        try:
            matters = self._ends(a) if pieces else self._matters(a)
            return matters and may_be(self._original, a, self._candidate.shape(b), True)
        except NotProved:
            return False

    def _ends(self, a: str) -> bool:
        """Whether anything but a linear map reads a value."""
        readers = self._readers.get(a, ())
        others = (reader.op for reader in readers if reader.op not in LINEAR)
        return a in self._results or any(op not in ("Shape", "Size") for op in others)

    def _same_ops(self, node: Node) -> list[Node]:
        computed = [i for i in node.inputs if i in self._matches]
        if computed:
            reading: Iterable[Node] = (
                reader
                for i in computed[:1]
                for a in self._matches[i]
                for reader in self._readers.get(a, ())
            )
        else:
            reading = self._original.nodes
        found = dict.fromkeys(n for n in reading if n.op == node.op and n.outputs[0])
        return sorted(found, key=lambda n: n.outputs[0] != node.outputs[0])[:_REACH]

    def _match_form(self, node: Node, b: str, refusals: list[NotProved], found: bool) -> bool:
        found = self._match_form_over(self._matches, b, refusals) or found
        if not (found and self._is_named(b)) and (self._pieces or node.op in MOVES):
            # What is put together of what was matched may be matched only as a whole.
            makers = self._candidate.producers
            linear = {i for i in self._matches if i in makers and makers[i][0].op in LINEAR}
            found = self._match_form_over(self._matches.keys() - linear, b, refusals) or found
        return found

    def _is_named(self, b: str) -> bool:
        """Whether a value was matched with that of its name, if there is one."""
        return b not in self._original.producers or b in self._matches.get(b, ())

    def _match_form_over(self, stops: Collection[str], b: str, refusals: list[NotProved]) -> bool:
        try:
            sources = sources_of(self._candidate, b, stops)
        except NotProved as refusal:
            refusals.append(refusal)
            return False
        if not sources:
            return False
        found, known = False, set(self._matches.get(b, ()))
        for a in self._reached(sources, b):
            if a in known:
                continue
            cut = self._cut(a, b, sources, refusals)
            if cut is not None:
                found = True
                self.cuts.append(cut)
                self._add(a, b)
        return found

    def _reached(self, sources: list[str], b: str) -> list[str]:
        """Values of the original that linear ops make of what the sources are."""
        shape = self._candidate.shape(b)
        start = [a for b in sources for a in self._matches[b]]
        seen, order, near = dict.fromkeys(start, False), list(start), 0
        for value in order:
            if near > _REACH or len(order) > _PUT_TOGETHER:
                break
            near += not seen[value]
            for reader in self._readers.get(value, ()):
                moves = reader.op in MOVES
                follows = reader.op in self._pieces if moves else reader.op in LINEAR
                if follows and reader.outputs[0] not in seen:
                    seen[reader.outputs[0]] = seen[value] or moves
                    order.append(reader.outputs[0])
        named = [b] if b in self._original.producers else []
        matter = {False: self._matters, True: self._ends}
        others = [a for a in order[len(start) :] if a != b and matter[seen[a]](a)]
        others += [a for a in start if a != b]
        known = self.proving.known
        turns = self._candidate.producers[b][0].op == "Transpose" or any(
            known[x, y].order is not None for y in sources for x in self._matches[y]
        )
        return [a for a in (*named, *others) if may_be(self._original, a, shape, turns)]

    def _matters(self, a: str) -> bool:
        """Whether anything but an affine reads a value."""
        if a in self._results:
            return True
        return any(
            reader.op not in _AFFINE
            or sum(not self._original.is_constant(i) for i in reader.inputs) > 1
            for reader in self._readers.get(a, ())
        )

    def _cut(self, a: str, b: str, sources: list[str], refusals: list[NotProved]) -> Cut | None:
        matches = {x for source in sources for x in self._matches[source]}
        # What a value is made of, and where it is matched itself, the value.
        for stops in (matches - {a}, {a}) if a in matches else (matches,):
            try:
                return self._cut_over(a, b, sources, stops)
            except NotProved as refusal:
                refusals.append(refusal)
        return None

    def _cut_over(self, a: str, b: str, sources: list[str], stops: set[str]) -> Cut:
        mine = sources_of(self._original, a, stops)
        over = []
        for source in sources:
            chosen = [x for x in self._matches[source] if x in mine]
            need(chosen, "it is computed from other values")
            over.append((chosen[0], source))
        if (a, b) in self._given:
            cut = self.assumed[a, b] = Cut(a, b, "linear", self._given[a, b], tuple(over))
            self.proving.known[a, b] = cut.relation
            return cut
        x, y, *_ = forms = self.proving.forms(a, b, over)
        need(not self._matches.get(b) or on_one_grid(x, y), "another grid of coefficients")
        need(are_compared(x, y), "far more coefficients")
        cut = Cut(a, b, "linear", of_forms(forms), tuple(over))
        try:
            self.proving.same_form(cut, forms)
        except NotProved:
            self._try(cut)
            raise
        return cut

    def _try(self, cut: Cut) -> None:
        if not self.unmatched:
            self.tried.append(cut)
