"""Sizes that a file claims for its tensors, checked before any is allocated.

A pickle says how many elements each storage has and which of them each tensor sees. torch's readers
believe the first number: a zip record shorter than its claim is read beyond its end, and a
legacy file's storage is allocated before its bytes are looked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from bnfuse.errors import DamagedFileError
from bnfuse.loading.pickles.symbols import Call, Global, StorageSymbol, TupleSymbol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bnfuse.loading.pickles.scan import PickleScan

__all__ = ["check_sizes", "shape_of"]

_VIEW_LIMIT = 1 << 24
"""Elements that a tensor may show of a smaller storage: an expanded view is honest when small."""

_WIDTHS = {
    "Double": 8,
    "Long": 8,
    "ComplexFloat": 8,
    "ComplexDouble": 16,
    "Half": 2,
    "BFloat16": 2,
    "Short": 2,
    "Char": 1,
    "Byte": 1,
    "Bool": 1,
    "Untyped": 1,
}
_DTYPE_WIDTHS = {
    "bfloat16": 2,
    "complex128": 16,
    "complex64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}
_OFFSET, _SIZE, _STRIDE, _V3_DTYPE = 1, 2, 3, 6


@dataclass
class _Room:
    """What the file really holds, and what its pickle has claimed of it so far."""

    path: Path
    of: Callable[[str], int | None]
    total: int | None
    claims: dict[str, int] = field(default_factory=dict)

    def claim(self, key: str, wanted: int) -> None:
        there = self.of(key)
        if there is None:
            raise self.damaged(f"the record of tensor {key} is missing")
        if wanted > there or (self.total is not None and wanted > self.total):
            raise self.damaged(f"tensor {key} claims {wanted:,} bytes and has {there:,}")
        if self.claims.setdefault(key, wanted) != wanted:
            raise self.damaged(f"tensor {key} is said to have two different sizes")
        if self.total is not None and sum(self.claims.values()) > self.total:
            raise self.damaged("its tensors claim more bytes than there are")

    def damaged(self, what: str) -> DamagedFileError:
        return DamagedFileError(
            f"{self.path} is damaged: {what}.", "Copy or download the file again."
        )


def check_sizes(
    path: Path,
    scan: PickleScan,
    room: Callable[[str], int | None],
    total: int | None = None,
) -> None:
    """Compare every storage with the bytes there are, and every tensor with its storage.

    Args:
        path: Of the file, for the error.
        scan: Of the pickle that names the storages.
        room: Bytes that the file holds for a storage's key, or None if it has no such record.
        total: Bytes for all storages together, where they are not kept apart.

    Raises:
        DamagedFileError: A storage is larger than its bytes, or a tensor than its storage.
    """
    left = _Room(path, room, total)
    for call in scan.calls:
        maker, args = call.maker.dotted if call.maker else "", call.args
        if maker == "torch._tensor._rebuild_from_type_v2":
            if len(args) < 3 or not (
                isinstance(args[0], Global) and isinstance(args[2], TupleSymbol)
            ):
                raise left.damaged("a tensor has no known maker")
            maker, args = args[0].dotted, args[2].items
        if maker.startswith("torch._utils._rebuild_tensor"):
            _check_tensor(maker, args, left)


def shape_of(tensor: Any) -> tuple[int, ...] | None:
    """The shape that a symbolic tensor or parameter has; ``None`` where it is not told."""
    while isinstance(tensor, Call) and tensor.maker is not None and tensor.args:
        name = tensor.maker.dotted
        if name.startswith("torch._utils._rebuild_tensor"):
            sizes = _integers(tensor.args, _SIZE)
            return None if sizes is None else tuple(sizes)
        if name == "torch._tensor._rebuild_from_type_v2" and len(tensor.args) > 2:
            made, inner = tensor.args[0], tensor.args[2]
            if not (isinstance(made, Global) and isinstance(inner, TupleSymbol)):
                return None
            tensor = Call(made, tensor.opcode, inner.items)
        elif name.startswith("torch._utils._rebuild_parameter"):
            tensor = tensor.args[0]
        else:
            return None
    return None


def _check_tensor(maker: str, args: list[Any], room: _Room) -> None:
    storage = args[0] if args else None
    sizes, strides = _integers(args, _SIZE), _integers(args, _STRIDE)
    offset = args[_OFFSET] if len(args) > _OFFSET else None
    if (
        not isinstance(storage, StorageSymbol)
        or len(storage.items) < 5
        or not _is_count(offset)
        or sizes is None
        or strides is None
        or len(sizes) != len(strides)
    ):
        raise room.damaged("a tensor's size or storage is not a number")
    kind, key, elements = storage.items[1], storage.items[2], storage.items[4]
    if not (isinstance(kind, Global) and isinstance(key, str) and _is_count(elements)):
        raise room.damaged("a tensor's storage is not described")
    width = _WIDTHS.get(kind.name.removesuffix("Storage"), 4)
    room.claim(key, elements * width)
    item = _v3_width(args) if maker.endswith("_v3") else width
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    count = math.prod(sizes)
    if count and (last + 1) * item > elements * width:
        raise room.damaged(f"a tensor of shape {_shape(sizes)} lies in {elements:,} elements")
    if count > max(elements, _VIEW_LIMIT):
        raise DamagedFileError(
            f"{room.path} shows {elements:,} elements as a tensor of shape {_shape(sizes)}, which "
            "would fill the memory."
        )


def _v3_width(args: list[Any]) -> int:
    dtype = args[_V3_DTYPE] if len(args) > _V3_DTYPE else None
    return _DTYPE_WIDTHS.get(dtype.name, 1) if isinstance(dtype, Global) else 1


def _integers(args: list[Any], index: int) -> list[int] | None:
    value = args[index] if len(args) > index else None
    if isinstance(value, Call) and value.maker == Global("torch", "Size") and value.args:
        value = value.args[0]
    if isinstance(value, TupleSymbol) and all(_is_count(item) for item in value.items):
        return list(value.items)
    return None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _shape(sizes: list[int]) -> str:
    return "(" + ", ".join(f"{size:,}" for size in sizes) + ")"
