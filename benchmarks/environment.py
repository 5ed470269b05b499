"""Where and with what a result was measured, and the file that keeps both."""

from __future__ import annotations

__all__ = ["RESULTS", "environment", "save", "versions"]

import datetime
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

_PACKAGES = (
    "bnfuse",
    "numpy",
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "onnxslim",
    "onnxoptimizer",
    "openvino",
    "torch",
    "transformers",
)


def environment() -> dict[str, Any]:
    """The machine in general terms, the versions and the day; nothing that names a host or path."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "vectors": _vectors(),
            "memory_gib": _memory_gib(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "python": platform.python_version(),
        "versions": versions(_PACKAGES),
    }


def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """The installed version of each package; ``None`` where it is missing."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def save(name: str, result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write ``result`` with its environment to ``<folder>/<name>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({"environment": environment(), **result}, indent=1)
    # A benchmark that saves as it goes may be ended at any time.
    part = path.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    return part.replace(path)


def _cpu() -> str:
    found = _search(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo")
    return found or platform.processor() or platform.machine()


def _vectors() -> str | None:
    flags = (_search(r"^flags\s*:\s*(.+)$", "/proc/cpuinfo") or "").split()
    return next((wide for wide in ("avx512f", "avx2", "avx") if wide in flags), None)


def _memory_gib() -> int | None:
    kilobytes = _search(r"^MemTotal:\s*(\d+)", "/proc/meminfo")
    return round(int(kilobytes) / 2**20) if kilobytes else None


def _search(pattern: str, file: str) -> str | None:
    try:
        found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None
