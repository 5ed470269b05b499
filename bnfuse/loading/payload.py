"""Where in a saved object the model is, told from the symbolic pickle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bnfuse.loading.consent.known import TENSOR_MAKERS
from bnfuse.loading.pickles.symbols import Call, Global, Pairs, Sequence, values_below

__all__ = [
    "COMPILED",
    "MODEL_KEYS",
    "Payload",
    "all_payloads",
    "chosen_payloads",
    "find_payload",
    "is_tensor",
]

MODEL_KEYS = ("state_dict", "model", "ema", "model_ema", "model_state_dict", "params", "net")
"""Keys under which checkpoints keep their model, in the order in which they are tried."""

COMPILED = "torch._dynamo.eval_frame.OptimizedModule"
"""The wrapper of ``torch.compile``; also the step of a path that goes through one."""

_MAX_DEPTH = 3
_GRAPH_MODULES = (
    "torch.fx.graph_module.reduce_graph_module",
    "torch.fx.graph_module.reduce_package_graph_module",
    "torch.fx.graph_module.reduce_deploy_graph_module",
)


@dataclass(frozen=True)
class Payload:
    """The model inside a saved object.

    Attributes:
        path: Keys that lead to it from the saved object, empty where it is the object itself.
        value: It, symbolically.
        is_module: Whether it is a module, not the weights of one.
        others: Keys beside it that hold a model too.
    """

    path: tuple[str, ...]
    value: Any
    is_module: bool
    others: tuple[str, ...] = ()

    def globals(self) -> frozenset[Global]:
        """What making it imports."""
        return frozenset(v for v in values_below(self.value) if isinstance(v, Global))


def find_payload(root: Any, depth: int = _MAX_DEPTH) -> Payload | None:
    """The model in ``root``: itself, or below one of :data:`MODEL_KEYS` or the one key."""
    if isinstance(root, Call) and root.maker and root.maker.dotted == COMPILED and root.args:
        inner = find_payload(root.args[0], depth)
        return inner and Payload((COMPILED, *inner.path), inner.value, inner.is_module)
    if _is_module(root):
        return Payload((), root, is_module=True)
    pairs = _pairs(root)
    if pairs is None or depth == 0:
        return None
    if _is_weights(pairs):
        return Payload((), root, is_module=False)
    found: dict[str, Payload] = {}
    for key, value in pairs:
        if isinstance(key, str) and (inner := find_payload(value, depth - 1)):
            found[key] = inner
    known = [key for key in MODEL_KEYS if key in found]
    if not known and len(found) != 1:
        return None
    key = known[0] if known else next(iter(found))
    inner = found[key]
    others = tuple(other for other in found if other != key)
    return Payload((key, *inner.path), inner.value, inner.is_module, others)


def all_payloads(root: Any, depth: int = _MAX_DEPTH) -> list[Payload]:
    """Every model in ``root`` that is not a part of another, in the order of the file."""
    whole = find_payload(root, 0)
    if whole is not None:
        return [whole]
    pairs = _pairs(root) if depth else None
    if pairs is not None and _is_weights(pairs):
        return [Payload((), root, is_module=False)]
    return [
        Payload((key, *inner.path), inner.value, inner.is_module)
        for key, value in pairs or ()
        if isinstance(key, str)
        for inner in all_payloads(value, depth - 1)
    ]


def chosen_payloads(found: list[Payload], wanted: str) -> list[Payload]:
    """Those of ``found`` that ``--weights`` names: by a key or its dotted path, else by a word.

    >>> from bnfuse.loading.payload import Payload, chosen_payloads
    >>> both = [Payload((key,), None, False) for key in ("state_dict", "state_dict_ema")]
    >>> [payload.path for payload in chosen_payloads(both, "ema")]
    [('state_dict_ema',)]
    >>> [payload.path for payload in chosen_payloads(both, "state_dict")]
    [('state_dict',)]
    """
    exact = [p for p in found if wanted in p.path or wanted == ".".join(p.path)]
    return exact or [p for p in found if wanted in re.split(r"[._]", ".".join(p.path))]


def is_tensor(value: Any) -> bool:
    """Whether a symbolic value is a tensor or a parameter."""
    return isinstance(value, Call) and value.maker is not None and _makes_tensor(value.maker.dotted)


def _makes_tensor(dotted: str) -> bool:
    return dotted in TENSOR_MAKERS or dotted.startswith("torch._utils._rebuild_")


def _is_module(value: Any) -> bool:
    if not isinstance(value, Call) or value.maker is None:
        return False
    if value.maker.dotted in _GRAPH_MODULES:
        return True
    state = value.state
    first = state.items[0] if isinstance(state, Sequence) and state.items else state
    pairs = _pairs(first) or []
    return {"_modules", "_parameters"} <= {key for key, _ in pairs if isinstance(key, str)}


def _pairs(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, Pairs):
        return value.pairs
    if isinstance(value, Call) and value.maker == Global("collections", "OrderedDict"):
        listed = value.args[0] if value.args else None
        old = [tuple(item.items) for item in getattr(listed, "items", [])]
        return [*[pair for pair in old if len(pair) == 2], *value.pairs]
    return None


def _is_weights(pairs: list[tuple[Any, Any]]) -> bool:
    return any(is_tensor(value) for _, value in pairs) and all(
        isinstance(key, str) and (is_tensor(value) or value is None or key.endswith("_extra_state"))
        for key, value in pairs
    )
