"""How a source is loaded: the options that the public functions and the commands share."""

from __future__ import annotations

__all__ = ["LoadKeywords", "LoadOptions"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from bnfuse.errors import UsageError
from bnfuse.loading.arguments import several
from bnfuse.suggestion import meant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class LoadKeywords(TypedDict, total=False):
    """The fields of :class:`LoadOptions`, given as keywords."""

    model: str | None
    allow: Sequence[str]
    trust: bool
    input_shapes: Sequence[str]
    dtype: str | None
    weights: str | None


@dataclass(frozen=True)
class LoadOptions:
    """How a source is loaded.

    Attributes:
        model: ``package.module:factory`` that builds the architecture, for weights alone.
        allow: Classes that a pickled module may import, ``mod.Class`` or ``saved.Name=mod.Class``.
        trust: Whether code may run: that in the file, where it cannot be kept from running, and
            that of a named module which does more than define things when it is imported.
        input_shapes: Example shapes as ``--input-shape`` takes them, as in ``"N,3,224,224"``;
            empty to infer them.
        dtype: Of the example inputs; ``None`` for the module's own.
        weights: Which of several models in a checkpoint: a key of it, or a word of one, as in
            ``ema``; ``None`` for the first of the usual keys.

    Raises:
        UsageError: ``allow`` or ``input_shapes`` hold something else than strings.
    """

    model: str | None = None
    allow: Sequence[str] = ()
    trust: bool = False
    input_shapes: Sequence[str] = ()
    dtype: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", several(self.allow))
        object.__setattr__(self, "input_shapes", several(self.input_shapes))

    @classmethod
    def of(
        cls, options: LoadOptions | None, keywords: LoadKeywords | Mapping[str, Any]
    ) -> LoadOptions:
        """``options``, or the defaults, with each of ``keywords`` in the place of a field.

        Raises:
            UsageError: ``options`` are something else.
            TypeError: A keyword is no field.
        """
        if not isinstance(options, cls | None):
            raise UsageError(
                f"options are a bnfuse.LoadOptions, not a {type(options).__name__}.",
                "Write options=bnfuse.LoadOptions(...), or give its fields as keywords.",
            )
        wrong = next((name for name in keywords if name not in _FLAGS), None)
        if wrong is not None:
            question = meant(wrong, _FLAGS)
            raise TypeError(f"there is no option {wrong!r}. {question}".strip())
        return replace(options or cls(), **keywords)

    @property
    def flags(self) -> tuple[str, ...]:
        """The words with which the command line asks for the same."""
        words: list[str] = []
        for name, flag in _FLAGS.items():
            value = getattr(self, name)
            if value is True:
                words.append(flag)
            elif isinstance(value, tuple):
                words += [word for item in value for word in (flag, item)]
            elif value:
                words += [flag, value]
        return tuple(words)


_FLAGS = {
    "input_shapes": "--input-shape",
    "dtype": "--dtype",
    "model": "--model",
    "allow": "--allow",
    "weights": "--weights",
    "trust": "--trust",
}
