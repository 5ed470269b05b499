"""The errors that a user of bnfuse can meet: one family, each with its exit code and a remedy.

Every message is one sentence that says what is wrong; ``remedy`` is one that says what to do.
The command line prints both and leaves with ``exit_code``; a library user catches
:class:`BnfuseError`.
"""

from __future__ import annotations

__all__ = [
    "BnfuseError",
    "DamagedFileError",
    "ExportError",
    "FoldError",
    "InputShapeError",
    "LoadError",
    "NonFiniteNormError",
    "OutputError",
    "ProviderError",
    "UnsafeFileError",
    "UsageError",
    "VerificationError",
]


class BnfuseError(Exception):
    """Base of every error that bnfuse raises on purpose.

    Attributes:
        exit_code: What the command line leaves with: 1 verification failed; 2 usage, loading
            or export error; 3 could not be judged, or a provider is not there.
        remedy: One sentence that says what to do, or the empty string.
    """

    exit_code: int = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        return " ".join(part for part in (self.args[0], self.remedy) if part)


class UsageError(BnfuseError):
    """The command's or the function's arguments do not make sense together."""


class LoadError(BnfuseError):
    """The file cannot be read as a model."""


class DamagedFileError(LoadError):
    """The file is cut off, overwritten or not what its first bytes promise."""


class UnsafeFileError(LoadError):
    """Reading the file would run code that nobody agreed to run."""


class InputShapeError(BnfuseError):
    """No example input is known that the model accepts."""


class ExportError(BnfuseError):
    """The module cannot be exported to ONNX."""


class FoldError(BnfuseError):
    """An absorption did not survive its own re-derivation: a bug in bnfuse, never in the model."""


class NonFiniteNormError(BnfuseError):
    """A norm's scale or shift is NaN or infinite, so the model's output is meaningless there."""


class OutputError(BnfuseError):
    """The result cannot be written where it was asked for."""


class VerificationError(BnfuseError):
    """The candidate computes another function than the original."""

    exit_code = 1


class ProviderError(BnfuseError):
    """An execution provider that was asked for by name is not there or does not run."""

    exit_code = 3
