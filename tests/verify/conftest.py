from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The nets, mutations and candidates are shared with benchmarks/verification.py.
sys.path.insert(0, str(Path(__file__).parent))
# So is the table of the runtime's errors with benchmarks/runtime_errors.py.
sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(autouse=True)
def no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are about is what samples show where nothing is proved."""
    monkeypatch.setattr("bnfuse.verifying.verification.proof_of", lambda *_: None)
