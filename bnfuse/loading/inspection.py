"""Looking at a file: what it is, and what is in it, before anything is loaded."""

from __future__ import annotations

import io
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bnfuse.errors import LoadError
from bnfuse.loading.archive import Archive, DamagedFileError, open_archive
from bnfuse.loading.hugging_face import is_hugging_face_folder
from bnfuse.loading.kinds import FileKind
from bnfuse.loading.payload import COMPILED, find_payload, is_tensor
from bnfuse.loading.pickles.claimed_sizes import check_sizes
from bnfuse.loading.pickles.scan import PickleScan, scan
from bnfuse.loading.pickles.symbols import MalformedPickleError
from bnfuse.onnxfiles.look import OnnxLook, look_at_onnx

if TYPE_CHECKING:
    import os

    from bnfuse.loading.payload import Payload

__all__ = ["MAX_PICKLE_BYTES", "Inspection", "detect", "inspect_file"]

MAX_PICKLE_BYTES = 32 << 20
"""A pickle describes a model; its weights lie beside it, so more than this describes none."""

_MAX_HEADER_BYTES = 100 << 20
_LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""How a legacy torch file goes on after the two bytes of its pickle protocol."""

_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (b"GGUF", "a GGUF file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\xfd7zXZ", "an xz file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip file: unpack it first"),
    (b"Rar!", "a RAR file: unpack it first"),
)


@dataclass(frozen=True)
class Inspection:
    """What looking at a file showed.

    Attributes:
        path: The file.
        kind: What it is.
        detail: More about what it is, for a person, or the empty string.
        archive: Its checked directory, if it is a zip archive.
        scans: Its pickles: one, or the five of a legacy file with the object fourth.
        payload: Where in the saved object the model is, if it has one.
        error: What is wrong with a damaged file.
    """

    path: Path
    kind: FileKind
    detail: str = ""
    archive: Archive | None = None
    scans: tuple[PickleScan, ...] = ()
    payload: Payload | None = None
    error: LoadError | None = None

    @property
    def saved(self) -> PickleScan:
        """The pickle of the saved object."""
        return self.scans[3 if len(self.scans) > 1 else 0]

    @property
    def is_legacy(self) -> bool:
        """Whether the file is in torch's format of before the zip archives."""
        return len(self.scans) > 1


def detect(path: str | os.PathLike[str]) -> FileKind:
    """What kind of file ``path`` is, by looking at its bytes; nothing of it is loaded or imported.

    Raises:
        LoadError: There is no such file, or it may not be read.
    """
    return inspect_file(path).kind


def inspect_file(path: str | os.PathLike[str]) -> Inspection:
    """Look at a file.

    Raises:
        LoadError: There is no such file, or it may not be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            known = is_hugging_face_folder(path)
            return Inspection(path, FileKind.HUGGING_FACE if known else FileKind.FOLDER)
        if not path.is_file():
            raise LoadError(
                f"{path} is not a regular file." if path.exists() else f"{path} does not exist.",
                "Give the path of a model file.",
            )
        size = path.stat().st_size
        with path.open("rb") as file:
            return _inspect_open(path, file, size)
    except DamagedFileError as error:
        return Inspection(path, FileKind.DAMAGED, detail=str(error.args[0]), error=error)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise LoadError(f"{path!s:.80} cannot be a path: {error}.") from error


def _inspect_open(path: Path, file: IO[bytes], size: int) -> Inspection:
    head = file.read(512)
    if not head:
        return Inspection(path, FileKind.EMPTY)
    if head.startswith(b"PK"):
        return _inspect_zip(path)
    if head[2:].startswith(_LEGACY_MAGIC) or head.startswith(b"\x80"):
        return _inspect_pickle(path, file, legacy=head[2:].startswith(_LEGACY_MAGIC))
    if head[257:262] == b"ustar" or head.startswith((b"storages\0", b"tensors\0", b"pickle\0")):
        return Inspection(path, FileKind.LEGACY_TAR)
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return Inspection(path, FileKind.UNKNOWN, detail=name)
    if head[8:9] == b"{" and _inspect_safetensors(path, file, size):
        return Inspection(path, FileKind.SAFETENSORS)
    file.seek(0)
    look = look_at_onnx(file, size)
    if look is OnnxLook.MODEL:
        return Inspection(path, FileKind.ONNX)
    if look is OnnxLook.CUT:
        raise DamagedFileError(
            f"{path} starts as an ONNX model and is cut off or damaged.",
            "Copy or download the file again.",
        )
    return _inspect_text(path, file, head)


def _inspect_text(path: Path, file: IO[bytes], head: bytes) -> Inspection:
    if head[:1] in b"c(}]" and head[:1]:
        file.seek(0)
        try:
            return Inspection(path, FileKind.PICKLE, scans=(scan(io.BytesIO(file.read(1 << 20))),))
        except MalformedPickleError:
            pass
    if b"\0" in head or any(byte < 9 for byte in head):
        return Inspection(path, FileKind.UNKNOWN)
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < 512 else "ignore")
    except UnicodeDecodeError:
        return Inspection(path, FileKind.UNKNOWN)
    if text.startswith("version https://git-lfs"):
        return Inspection(path, FileKind.TEXT, detail="a Git LFS pointer: run `git lfs pull`")
    if text.lstrip().lower().startswith(("<!doctype", "<html")):
        return Inspection(path, FileKind.TEXT, detail="a web page, from a download that failed")
    if "ir_version" in text or "irVersion" in text:
        form = "an ONNX model written as text: parse it and save it again with onnx.save"
        return Inspection(path, FileKind.TEXT, detail=form)
    return Inspection(path, FileKind.TEXT)


def _inspect_safetensors(path: Path, file: IO[bytes], size: int) -> bool:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _MAX_HEADER_BYTES:
        return False
    if length > size - 8:
        raise DamagedFileError(f"{path} is a safetensors file that is cut off.")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is a safetensors file with a damaged header.") from error
    return isinstance(header, dict)


def _inspect_zip(path: Path) -> Inspection:
    archive = open_archive(path)
    if "archive_format" in archive or "serialized_exported_program.json" in archive:
        return Inspection(path, FileKind.EXPORTED_PROGRAM, archive=archive)
    if "constants.pkl" in archive:
        return Inspection(path, FileKind.TORCHSCRIPT, archive=archive)
    if "data.pkl" not in archive:
        return Inspection(path, FileKind.ARCHIVE, archive=archive)
    data = archive.read("data.pkl", MAX_PICKLE_BYTES)
    try:
        found = scan(io.BytesIO(data))
    except MalformedPickleError as error:
        raise DamagedFileError(f"{path} is damaged: its pickle cannot be read: {error}.") from error
    check_sizes(path, found, lambda key: archive.size(f"data/{key}"))
    payload = find_payload(found.root)
    kind = _kind_of(found, payload, legacy=False)
    return Inspection(path, kind, archive=archive, scans=(found,), payload=payload)


def _inspect_pickle(path: Path, file: IO[bytes], legacy: bool) -> Inspection:
    """A legacy torch file is five pickles (magic, version, system, object, keys), then bytes."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            scans = tuple(scan(mapped) for _ in range(5 if legacy else 1))
        except MalformedPickleError as error:
            raise DamagedFileError(
                f"{path} is a pickle that is cut off or damaged: {error}.",
                "Copy or download the file again.",
            ) from error
        left = len(mapped) - mapped.tell()
    if not legacy:
        return Inspection(path, FileKind.PICKLE, scans=scans, payload=find_payload(scans[0].root))
    found = scans[3]
    check_sizes(path, found, lambda _: left, total=left)
    payload = find_payload(found.root)
    return Inspection(path, _kind_of(found, payload, legacy=True), scans=scans, payload=payload)


def _kind_of(found: PickleScan, payload: Payload | None, legacy: bool) -> FileKind:
    if payload is None:
        return FileKind.TENSOR if is_tensor(found.root) else FileKind.DATA
    if all(step == COMPILED for step in payload.path):
        if payload.is_module:
            return FileKind.LEGACY_MODULE if legacy else FileKind.MODULE
        return FileKind.LEGACY_STATE_DICT if legacy else FileKind.STATE_DICT
    return FileKind.LEGACY_CHECKPOINT if legacy else FileKind.CHECKPOINT
