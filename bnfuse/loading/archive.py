"""Zip archives, looked at before anything in them is believed or unpacked.

``torch.save`` stores its records uncompressed; TorchScript compresses its code three times or so.
An archive that promises more than its bytes can honestly hold is refused from its central
directory alone. The checks also stand before torch's native reader, which trusts more than is wise.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

__all__ = ["Archive", "open_archive"]

_FREE_BYTES = 64 << 20
"""What compressed entries may unpack to whatever their size."""

_MAX_RATIO = 20
"""How many times its size a larger archive may unpack to; code compresses three to five times."""

_CHUNK = 1 << 24
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True)
class Archive:
    """A checked central directory.

    Attributes:
        path: The archive.
        root: Name of the one folder that everything lies in, with its slash, or the empty string.
        entries: Each entry by its name below ``root``.
    """

    path: Path
    root: str
    entries: Mapping[str, zipfile.ZipInfo]

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def size(self, name: str) -> int | None:
        """Unpacked bytes of an entry, or None where there is no such entry."""
        entry = self.entries.get(name)
        return None if entry is None else entry.file_size

    def read(self, name: str, limit: int) -> bytes:
        """Content of an entry.

        Raises:
            DamagedFileError: It has more than ``limit`` bytes, or does not unpack to what the
                directory says.
        """
        entry = self.entries[name]
        if entry.file_size > limit:
            raise DamagedFileError(
                f"{self.path} holds {name} of {entry.file_size:,} bytes, where "
                f"at most {limit:,} are expected."
            )
        with self.path.open("rb") as file:
            data = b"".join(_unpacked(file, entry))
        if len(data) != entry.file_size:
            raise DamagedFileError(f"{self.path} is damaged: {name} does not unpack.")
        return data

    def verify(self) -> None:
        """Compare every entry with its checksum.

        An archive written by torch with checksums off has zero for all of them: nothing to compare.

        Raises:
            DamagedFileError: An entry is not what was written.
        """
        if not any(entry.CRC for entry in self.entries.values()):
            return
        with self.path.open("rb") as file:
            for name, entry in self.entries.items():
                checksum = written = 0
                for chunk in _unpacked(file, entry):
                    written, checksum = written + len(chunk), zlib.crc32(chunk, checksum)
                if written != entry.file_size or checksum != entry.CRC:
                    raise DamagedFileError(
                        f"{self.path} is damaged: the checksum of {name} does not match.",
                        "Copy or download the file again.",
                    )


_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeDecodeError,
    ValueError,
    IndexError,
)


def open_archive(path: Path) -> Archive:
    """Read and check the central directory of a zip archive; nothing is unpacked.

    Raises:
        DamagedFileError: It has no readable directory, entries that overlap, leave the file, share
            a name or are encrypted, or it would unpack to far more than its size.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
            _check_local_headers(opened, infos)
    except (*_ZIP_ERRORS, OSError) as error:
        raise DamagedFileError(
            f"{path} is cut off or damaged: its zip archive cannot be read ({error}).",
            "Copy or download the file again.",
        ) from error
    _check_sizes(path, infos, size)
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise DamagedFileError(f"{path} is damaged: its zip archive holds one name twice.")
    root = _common_root(names)
    return Archive(path, root, {info.filename[len(root) :]: info for info in infos})


def _check_local_headers(opened: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> None:
    # Opening an entry compares its local header with the directory's, as no native reader does.
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError(f"compression method {info.compress_type}")
        with opened.open(info):
            pass


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo], size: int) -> None:
    packed = sum(info.compress_size + _LOCAL_HEADER_BYTES for info in infos)
    if packed > size:
        raise DamagedFileError(f"{path} is damaged: its zip entries overlap or are cut off.")
    if any(i.compress_type == zipfile.ZIP_STORED and i.file_size != i.compress_size for i in infos):
        raise DamagedFileError(f"{path} is damaged: a zip entry has two different sizes.")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_FREE_BYTES, _MAX_RATIO * size):
        raise DamagedFileError(
            f"{path} is a zip bomb: {size:,} bytes that would unpack to {unpacked:,}."
        )


def _common_root(names: list[str]) -> str:
    roots = {name.split("/", 1)[0] for name in names if "/" in name}
    if len(roots) != 1 or any("/" not in name for name in names):
        return ""
    return roots.pop() + "/"


def _unpacked(file: IO[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of an entry, in pieces; it stops short where the entry is damaged."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES:
        return
    name, extra = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    file.seek(name + extra, 1)
    inflate = zlib.decompressobj(-15) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    left, written = entry.compress_size, 0
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        left -= len(chunk)
        if inflate is not None:
            try:
                chunk = inflate.decompress(chunk, entry.file_size - written + 1)
            except zlib.error:
                return
        written += len(chunk)
        yield chunk
