"""How candidates fared, and how far a breakage that passed shows at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying import Verdict, Verification
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.onnx_models import OnnxSource, signature_of, weight_count
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.samples.drawing import Draft, Draw
from bnfuse.verifying.samples.index_tables import index_limits
from bnfuse.verifying.samples.sizes import candidates
from bnfuse.verifying.truth.double import DoubleEvaluator

if TYPE_CHECKING:
    import onnx

__all__ = ["Tally", "markdown", "visibility"]

TITLES = {
    "wrong models caught": "wrong models: breakages of six small nets",
    "wrong constants of other nets caught": "wrong constants of {other_nets} nets in the style of "
    "torchvision and timm, of which {transformers} are `transformers`' own",
    "what hides caught": "what few inputs show, {hiding} kinds",
    "right models passed": "right models: folds in float64 and float32, onnxsim, onnxslim, ONNX "
    "Runtime; seven small nets",
    "right folds of other nets passed": "right folds of those {other_nets} nets, against their "
    "exports and as modules",
    "exports of modules passed": "PyTorch modules against their exports (convolutional; MLP of 40 "
    "layers)",
}
"""What was judged, by the benchmark's own titles."""


def markdown(data: dict[str, Any]) -> str:
    """Return the table of a result as the documentation has it."""
    hiding = len(data["parts"].get("what hides caught", ()))
    rows = ["| | judged | as deserved | |", "|---|---|---|---|"]
    for title, rate in data["rates"].items():
        counts = {name: data.get(name) for name in ("other_nets", "transformers")}
        text = TITLES[title].format(hiding=hiding, **counts)
        good, total = rate["as deserved"], rate["judged"]
        verb = title.rsplit(" ", 1)[1]
        rows.append(f"| {text} | {total} | {good} | {100 * good / total:.4g} % {verb} |")
    return "\n".join(rows)


@dataclass
class Tally:
    """How one kind of candidate fared.

    Attributes:
        total: Candidates judged.
        expected: Those with the verdict that they deserve.
        hidden: Breakages whose effect is below the original's own rounding, with that effect.
        closest: The usage of its allowance that came closest to the wrong verdict.
        wrong: Descriptions of the others.
        named: Of those, how many a warning names.
    """

    total: int = 0
    expected: int = 0
    closest: float | None = None
    hidden: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    named: int = 0

    def add(self, label: str, result: Verification, verdict: Verdict) -> None:
        """Count one result."""
        self.total += 1
        if result.verdict is verdict:
            self.expected += 1
        else:
            self.wrong.append(f"{label}: {result.verdict.value}: {result.reason}")
        used = max((o.usage for row in result.rows for o in row.outputs if o.measures), default=0.0)
        if used and verdict is Verdict.PASS:
            self.closest = max(used, self.closest or 0.0)
        elif used > 1.0:
            self.closest = min(used, self.closest or used)


def visibility(
    original: onnx.ModelProto, right: onnx.ModelProto, wrong: onnx.ModelProto, seed: int
) -> float:
    """Return a breakage's largest effect in float64, in units of the original's rounding error.

    Both are rms values over one channel of one output, for each regime of inputs.
    """
    ports = signature_of(original).inputs
    draft = Draft(ports, limits=index_limits(original), seed=seed, weights=weight_count(original))
    session = Session(OnnxSource("original", given=original).session_input(), CPU_ROWS[0])
    most = 0.0
    for regime, scale in (("signed", 1), ("wide", 1), ("wide", 30), ("edge", 1), ("zero", 1)):
        drawn = draft.draw(Draw(regime, candidates(draft, uneven=True)[0][0], block=0)).feeds
        feeds = {
            name: value * value.dtype.type(scale) if value.dtype.kind == "f" else value
            for name, value in drawn.items()
        }
        with np.errstate(all="ignore"):
            truth, one, two = (
                DoubleEvaluator(model).run(None, feeds) for model in (original, right, wrong)
            )
        for exact, a, b, run in zip(truth, one, two, session.run(feeds), strict=True):
            if exact.dtype != np.float64:
                most = max(most, np.inf if np.any(a != b) else 0.0)
                continue
            for axis in {min(1, exact.ndim - 1), exact.ndim - 1}:
                over = tuple(i for i in range(exact.ndim) if i != axis)
                effect = np.sqrt(np.mean((a - b) ** 2, axis=over))
                noise = np.sqrt(np.mean((run - exact) ** 2, axis=over))
                shows = effect > 0
                if shows.any():
                    with np.errstate(divide="ignore"):
                        most = max(most, float((effect[shows] / noise[shows]).max()))
    return most
