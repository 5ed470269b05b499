"""Whether two models are the same function, judged against a float64 run of the original.

Two ONNX models are judged with onnx and ONNX Runtime alone. See ``docs/verification.md``.
"""

from __future__ import annotations

from bnfuse.verdict import Verdict
from bnfuse.verifying.candidate import Candidate
from bnfuse.verifying.comparing.constants import Derived, check_constants
from bnfuse.verifying.telling.localize import first_bad_step
from bnfuse.verifying.telling.saved import from_json, read_json, rejudge
from bnfuse.verifying.verdicts.proof import Proof
from bnfuse.verifying.verdicts.result import (
    ConstantParity,
    LocalizedValue,
    OutputParity,
    Parity,
    Truth,
    Verification,
)
from bnfuse.verifying.verdicts.thresholds import Thresholds
from bnfuse.verifying.verification import TRUTH_BUDGET, verify

__all__ = [
    "TRUTH_BUDGET",
    "Candidate",
    "ConstantParity",
    "Derived",
    "LocalizedValue",
    "OutputParity",
    "Parity",
    "Proof",
    "Thresholds",
    "Truth",
    "Verdict",
    "Verification",
    "check_constants",
    "first_bad_step",
    "from_json",
    "read_json",
    "rejudge",
    "verify",
]
