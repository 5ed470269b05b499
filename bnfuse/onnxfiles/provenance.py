"""Where a model comes from, said in its file, and that the file is still the one that was judged.

What is known before the model is judged stands in the message that is judged. The judgement is
put behind it: a protobuf message may go on after its last field, and the entries of a repeated
field count wherever they stand. So the bytes that were judged are the first bytes of the file, all
that follows is ``metadata_props``, and one entry there is the SHA-256 of those first bytes. No date
and no folder is named: the same source gives the same file.
"""

from __future__ import annotations

__all__ = ["describe", "is_made_from", "seal"]

import hashlib
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from bnfuse.fingerprint import Fingerprint, fingerprint
from bnfuse.onnxfiles.outline import outline
from bnfuse.onnxfiles.wire import field_header
from bnfuse.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

_PREFIX = "bnfuse."
_SIZES = f"{_PREFIX}sizes"
_SOURCE = f"{_PREFIX}source"
_VERDICT = f"{_PREFIX}verdict"
_BODY = f"{_PREFIX}body_sha256"
_PROOF = f"{_PREFIX}proof"
_DATA = f"{_PREFIX}data_sha256"
_SEAL = (_VERDICT, _PROOF, _DATA, _BODY)
"""The entries behind the message, in their order."""
_PROPS = onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER


def describe(model: ir.Model, source: str, files: Sequence[Fingerprint], folded: str) -> None:
    """Say in ``model``, which is changed, who made it, and of what.

    The user's own ``metadata_props`` stay, and the sizes that the model is valid for; those of an
    earlier fold go.

    Args:
        model: The model that is about to be written.
        source: What it was made from: a file's name, or the name of what was in memory.
        files: The source's files, its own first.
        folded: What was folded, in a few words.
    """
    before = " ".join(part for part in (model.producer_name, model.producer_version) if part)
    hashes = [f"{item.sha256}  {_name(item.path)}" for item in files]
    said = {
        "version": __version__,
        "source": _name(source),
        # As sha256sum writes them, where there is more than one file.
        "source_sha256": "\n".join(hashes) if len(files) > 1 else hashes[0][:64] if files else "",
        "source_producer": before,
        "folded": folded,
    }
    props = model.metadata_props
    for key in [key for key in props if key.startswith(_PREFIX) and key != _SIZES]:
        del props[key]
    props.update({_PREFIX + key: text for key, text in said.items() if text})
    model.producer_name, model.producer_version = "bnfuse", __version__


def seal(path: Path, data: Path | None, verdict: str, proof: str = "") -> tuple[Fingerprint, ...]:
    """Put the verdict behind the model in ``path``, with the SHA-256 of what was judged.

    What was proved of the model stands beside its verdict.

    Returns:
        The fingerprints of the model as it is now, and of its data.

    Raises:
        OSError: The disk refuses.
    """
    said = {_VERDICT: verdict, **({_PROOF: proof} if proof else {})}
    files = () if data is None else (fingerprint(data),)
    if files:
        said[_DATA] = files[0].sha256
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        behind = _sealed({**said, _BODY: digest.hexdigest()})
        file.write(behind)
        digest.update(behind)
        return Fingerprint(str(path), file.tell(), digest.hexdigest()), *files


def is_made_from(path: Path, source: str) -> bool:
    """Whether bnfuse made the model in ``path`` from that source, and nobody changed it since."""
    try:
        with path.open("rb") as file:
            said = _said(outline(file, path.name) or b"")
            behind = _sealed(said)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
                end = len(pages) - len(behind)
                with memoryview(pages)[: max(end, 0)] as body:
                    digest = hashlib.sha256(body).hexdigest()
                if pages[max(end, 0) :] != behind or digest != said.get(_BODY):
                    return False
        data = path.with_name(f"{path.name}.data")
        if _DATA in said and fingerprint(data).sha256 != said[_DATA]:
            return False
    except (OSError, ValueError):
        # ValueError: an empty file, or none of ONNX.
        return False
    return said.get(_SOURCE) == _name(source)


def _said(message: bytes) -> dict[str, str]:
    try:
        model = onnx.ModelProto.FromString(message)
    except Exception as error:
        # The base of what protobuf raises is no error of its own.
        raise ValueError("no ONNX model") from error
    return {item.key: item.value for item in model.metadata_props}


def _sealed(said: dict[str, str]) -> bytes:
    entries = [
        onnx.StringStringEntryProto(key=key, value=said[key]).SerializeToString()
        for key in _SEAL
        if key in said
    ]
    return b"".join(field_header(_PROPS, len(entry)) + entry for entry in entries)


def _name(path: str) -> str:
    """The last part of a path, in characters that UTF-8 can write."""
    return Path(path).name.encode(errors="backslashreplace").decode()
