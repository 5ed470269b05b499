"""Execution providers: which are asked for, which really work here, and why the others do not."""

from __future__ import annotations

import contextlib
import ctypes
import io
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from bnfuse.errors import UsageError
from bnfuse.verifying.runtime import sessions as runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Missing", "Providers", "Row", "check_names", "explain_absence", "ort_name", "resolve"]

_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}

_PACKAGES = {
    "cuda": "pip install onnxruntime-gpu in place of onnxruntime",
    "tensorrt": "pip install onnxruntime-gpu in place of onnxruntime, and TensorRT",
    "openvino": "pip install onnxruntime-openvino in place of onnxruntime",
    "coreml": "use ONNX Runtime's build for macOS",
    "dml": "pip install onnxruntime-directml in place of onnxruntime, on Windows",
}

# TF32 rounds inputs to 10 bits and is on by default; autotuned algorithms differ between runs.
_STRICT_CUDA = {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}


@dataclass(frozen=True)
class Row:
    """One configuration to judge a candidate in.

    Attributes:
        provider: The short name.
        ort_name: ONNX Runtime's name.
        optimization: ``disabled`` or ``all``.
        mode: ``strict`` decides, ``as shipped`` is reported.
        options: Provider options.
    """

    provider: str
    ort_name: str
    optimization: str
    mode: str = "strict"
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A provider that was asked for by name and is not there."""

    provider: str
    reason: str


@dataclass(frozen=True)
class Providers:
    """What to run, what ``auto`` left out, and what is missing."""

    rows: tuple[Row, ...]
    skipped: tuple[str, ...]
    missing: tuple[Missing, ...]


def resolve(names: Iterable[str]) -> Providers:
    """Return the rows for the providers asked for.

    ``auto`` stands for those of ``cpu`` and ``cuda`` that really work here.

    Raises:
        UsageError: A name is none of a provider.
    """
    names = tuple(names)
    check_names(names)
    rows: list[Row] = []
    skipped: list[str] = []
    missing: list[Missing] = []
    wanted: dict[str, bool] = {}
    for name in names:
        if name.lower() == "auto":
            for member in ("cpu", "cuda"):
                wanted.setdefault(member, False)
        else:
            wanted[_short(name)] = True
    for name, by_name in wanted.items():
        absence = explain_absence(name)
        if absence is None:
            rows.extend(_rows(name))
        elif by_name:
            missing.append(Missing(name, absence))
        else:
            skipped.append(f"{name}: {absence}")
    return Providers(tuple(rows), tuple(skipped), tuple(missing))


def check_names(names: Iterable[str]) -> None:
    """Refuse what is the name of no provider, here or elsewhere.

    Raises:
        UsageError: A name is none.
    """
    known = ("auto", *_NAMES, *runtime.known_providers())
    lower = {name.lower(): name for name in known}
    for name in names:
        if name.lower() in lower:
            continue
        near = get_close_matches(name.lower(), lower, 1)
        raise UsageError(
            f"There is no provider {name!r}.",
            f"Did you mean {lower[near[0]]}?" if near else f"Take one of {', '.join(known)}.",
        )


def ort_name(name: str) -> str:
    """Return ONNX Runtime's name of a provider given by its short or full name."""
    return _NAMES.get(name.lower(), name)


def explain_absence(name: str) -> str | None:
    """Return why a provider does not work here and what to do, or None if it works."""
    full = ort_name(name)
    if full == "CPUExecutionProvider":
        return None
    if full not in runtime.available_providers():
        remedy = _PACKAGES.get(name, "install a build of ONNX Runtime that has it")
        return f"this build of ONNX Runtime has no {full}; to use it, {remedy}"
    if name == "cuda":
        _preload()
    try:
        session = runtime.Session(_PROBE.SerializeToString(), Row(name, full, "disabled"))
    except runtime.RunError as error:
        return f"{full} does not start: {error}"
    if session.providers[:1] != [full]:
        return f"{full} fell back silently to {session.providers[0]}: {_library_error(name)}"
    return None


def _rows(name: str) -> tuple[Row, ...]:
    full = ort_name(name)
    options = _STRICT_CUDA if name == "cuda" else {}
    strict = tuple(Row(name, full, level, options=options) for level in ("disabled", "all"))
    shipped = (Row(name, full, "all", mode="as shipped"),) if name == "cuda" else ()
    return strict + shipped


def _short(name: str) -> str:
    for short, full in _NAMES.items():
        if name.lower() in {short, full.lower()}:
            return short
    return name


def _preload() -> None:
    # CUDA's libraries may lie in pip packages, where the loader does not look by itself.
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()


def _library_error(name: str) -> str:
    """Return what the dynamic loader says of the provider's library, and the remedy."""
    remedy = "install the CUDA and cuDNN versions that this release of ONNX Runtime names"
    if name not in {"cuda", "tensorrt"}:
        remedy = f"check the installation of {name}"
    import onnxruntime

    for library in Path(onnxruntime.__file__).parent.glob(f"capi/*providers_{name}.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            if "cannot open shared object" in str(error) or "not found" in str(error).lower():
                return f"{error}; {remedy}"
    return f"its libraries did not load; {remedy}"


_PROBE = onnx.helper.make_model(
    onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 2, 2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, 2, 2])],
        [onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 1, 1, 1], [1.0])],
    ),
    opset_imports=[onnx.helper.make_opsetid("", 17)],
    ir_version=8,
)
