"""One configuration of ONNX Runtime that a candidate is judged in."""

from __future__ import annotations

__all__ = ["Row"]

from dataclasses import dataclass, field


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
