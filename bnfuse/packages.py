"""Packages that only some of the work needs: their absence is told with its remedy."""

from __future__ import annotations

__all__ = ["require"]

from importlib.util import find_spec

from bnfuse.errors import UsageError

# An installation that only folds ONNX files is without these.
_FOR_PYTORCH = ("torch", "onnxscript", "onnxsim")
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def require(purpose: str, *packages: str) -> None:
    """Find out before the work whether what it imports is installed.

    Args:
        purpose: What the packages are for, the subject of the error's sentence.
        packages: Top-level names to import.

    Raises:
        UsageError: If one of them is not installed; its remedy installs all that are missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if not missing:
        return
    if {*missing} & {*_FOR_PYTORCH}:
        missing += [name for name in _FOR_PYTORCH if name not in missing and not find_spec(name)]
    wanted = " ".join(_DISTRIBUTIONS.get(name, name) for name in missing)
    raise UsageError(
        f"{purpose} needs the package {missing[0]}, which is not installed.",
        f"Install it with: pip install {wanted}",
    )
