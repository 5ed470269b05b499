"""The pytest plugin: ``assert_parity`` as a fixture, judged on ``--bnfuse-providers``.

pytest loads this file at the start of every run wherever bnfuse is installed, so nothing that takes
time is imported before a test asks for the fixture.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bnfuse.verifying import Verification

__all__ = ["assert_parity", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--bnfuse-providers``."""
    parser.getgroup("bnfuse", "verification of models").addoption(
        "--bnfuse-providers",
        metavar="NAME[,NAME]",
        type=_names,
        help="ONNX Runtime's execution providers on which the fixture assert_parity judges, "
        "as in cpu,cuda; one that is not there fails the test.  [default: auto]",
    )


@pytest.fixture(scope="session")
def assert_parity(pytestconfig: pytest.Config) -> Callable[..., Verification]:
    """:func:`bnfuse.testing.assert_parity`, on the providers that ``--bnfuse-providers`` names.

    A test that names ``providers`` itself is judged on those.
    """
    from bnfuse.testing import assert_parity as judge

    providers = pytestconfig.getoption("bnfuse_providers")
    return judge if providers is None else partial(judge, providers=providers)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ArgumentTypeError(f"{text!r} names no provider; give names as in cpu,cuda")
    return names
