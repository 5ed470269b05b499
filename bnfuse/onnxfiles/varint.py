"""Numbers as protobuf writes them, in sevens of bits, lowest first."""

from __future__ import annotations

__all__ = ["varint"]


def varint(value: int) -> bytes:
    """A number that is not negative, encoded."""
    sevens = bytearray()
    while value > 0x7F:
        sevens.append(value & 0x7F | 0x80)
        value >>= 7
    sevens.append(value)
    return bytes(sevens)
