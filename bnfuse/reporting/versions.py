"""The versions of what takes part in a result."""

from __future__ import annotations

__all__ = ["versions"]

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "onnxsim", "torch")


def versions() -> dict[str, str | None]:
    """Python's version and those of the packages; ``None`` for one that is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
