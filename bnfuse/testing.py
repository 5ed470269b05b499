"""One assertion for test suites: a candidate is the same function as its original.

Example::

    from bnfuse.testing import assert_parity

    def test_the_shipped_model_is_the_trained_one():
        assert_parity("model.pt", "model.onnx", providers=["cpu"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.verifying import Verification

__all__ = ["assert_parity"]


def assert_parity(
    original: Any,
    candidate: Any,
    inputs: Any = None,
    *,
    providers: Sequence[str] = ("auto",),
    **options: Any,
) -> Verification:
    """Fail the test unless ``candidate`` is proven to compute what ``original`` computes.

    Args:
        original: As :func:`bnfuse.verify` takes it.
        candidate: Likewise.
        inputs: Likewise.
        providers: Likewise. A provider given by name has to be there.
        **options: Passed on.

    Returns:
        The verification, for further assertions.

    Raises:
        AssertionError: The verdict is FAIL or INCONCLUSIVE; the message names the worst element
            and how to go on.
    """
    __tracebackhide__ = True
    from bnfuse.verifying import Verdict, verify

    result = verify(original, candidate, inputs, providers=providers, **options)
    if result.verdict is not Verdict.PASS:
        raise AssertionError(_message(result))
    return result


def _message(result: Verification) -> str:
    from bnfuse.verifying.telling.repro import worst_of

    lines = [f"{result.verdict.value}: {result.reason}"]
    worst = worst_of(result)
    if worst is not None:
        lines.append(
            f"worst element: {list(worst.index)} of {worst.sample}: truth {worst.truth:.9g}, "
            f"original {worst.original:.9g}, candidate {worst.candidate:.9g} "
            f"({worst.ratio:.3g} times the original's error)"
        )
    needed = [o.tolerance for row in result.rows if row.decides for o in row.outputs]
    if needed and max(needed) > result.thresholds.factor:
        lines.append(
            f"it would have passed at factor {max(needed):.3g}; the factor is "
            f"{result.thresholds.factor:g}"
        )
    lines += [f"note: {warning}" for warning in result.warnings]
    lines.append(f"truth: {result.truth.kind}; seed {result.seed}; {len(result.samples)} samples")
    lines.append(
        "to see where the models part: bnfuse verify ORIGINAL CANDIDATE --localize --repro DIR"
    )
    return "\n".join(lines)
