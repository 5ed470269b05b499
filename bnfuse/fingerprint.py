"""Files by their size and SHA-256."""

from __future__ import annotations

__all__ = ["Fingerprint", "fingerprint", "fingerprints", "weight_files"]

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fingerprint:
    """A file as it was when it was looked at.

    Attributes:
        path: The file, as it was named.
        bytes: Its size.
        sha256: Of its bytes, in hexadecimal.
    """

    path: str
    bytes: int
    sha256: str


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of one file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Fingerprint(str(path), file.tell(), digest)


def fingerprints(path: Path) -> tuple[Fingerprint, ...]:
    """Those of a model: its own file, then the files of its external data, or a folder's files.

    Raises:
        OSError: One cannot be read.
    """
    if path.is_dir():
        return tuple(fingerprint(item) for item in sorted(path.iterdir()) if item.is_file())
    return (fingerprint(path), *map(fingerprint, _data_files(path)))


def weight_files(path: Path) -> list[Path]:
    """The files besides its own that a model is read from: external data, or a folder's weights.

    Raises:
        Exception: Whatever reading it raises, where it is none or is damaged.
    """
    if path.is_dir():
        return [item for item in path.iterdir() if _is_weights(item.name)]
    return _data_files(path) if path.is_file() else []


def _is_weights(name: str) -> bool:
    return name == "config.json" or ".safetensors" in name


def _data_files(path: Path) -> list[Path]:
    """The files beside an ONNX model that its tensors lie in."""
    from bnfuse.onnxfiles.look import OnnxLook, look_at_onnx
    from bnfuse.onnxfiles.outline import outline

    with path.open("rb") as file:
        if look_at_onnx(file, path.stat().st_size) is not OnnxLook.MODEL:
            return []
        import onnx

        own = path.resolve().name
        model = onnx.ModelProto.FromString(outline(file, own) or b"")
    tensors = model.graph.initializer
    entries = (entry for tensor in tensors for entry in tensor.external_data)
    found = {entry.value for entry in entries if entry.key == "location"} - {own}
    files = [path.resolve().parent / name for name in sorted(found)]
    return [file for file in files if file.is_file()]
