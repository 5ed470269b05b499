"""Every architecture of ``transformers`` with a norm, from its own configuration made small.

No list of architectures and no sizes are written down here: the library's own mapping names them,
and a configuration is shrunk by what its numbers are called. An architecture whose small
configuration its own code refuses is tried again with one kind of numbers left alone.
"""

from __future__ import annotations

__all__ = ["NotBuiltError", "build", "has_batch_norm", "model_types", "sample_inputs"]

import contextlib
import importlib.util
import inspect
import itertools
import math
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 30_000_000
"""Parameters of a net that is small enough to fold in a table of hundreds."""

_WIDTH, _HEADS, _DEPTH = 32, 4, 2
_BY_NAME: tuple[tuple[str, int], ...] = (
    (r"(\w+_)?vocab(_size)?(_\w+)?$", 99),
    (r"(max_(length|position_embeddings|(source|target)_positions)|n_positions)$", 64),
    (r"(num_|n_)?(\w+_)?(num_|n_)?(key_value_heads|kv_heads|attention_heads|heads?)$", _HEADS),
    (r"(\w+_)?head_dim$", _WIDTH // _HEADS),
    (r"(\w+_)?(intermediate_size|ffn_dim|dim_ff|inner_dim|feed_?forward_(size|dim))$", 48),
    (
        r"(\w+_)?(hidden_size|d_model|embed_dim|hidden_dim|n_embd|emb_dim|embedding_size"
        r"|projection_dim|upsample_groups)$",
        _WIDTH,
    ),
    (r"(\w+_)?(num_|n_)?(hidden_|encoder_|decoder_)?layers?$", _DEPTH),
    (r"(num_experts|num_local_experts|n_routed_experts)$", 4),
    (r"(num_experts_per_tok|moe_top_?k|top_k_experts|num_experts_per_token|moe_topk)$", 2),
    (r"(n_group|topk_group)$", 1),
    (r"(num_queries|context_size)$", 8),
    (r"rotary_dim$", 4),
    (r"(image_size|upsample_initial_channel)$", 64),
)
_KINDS = (*(pattern for pattern, _ in _BY_NAME), "lists", "depths", "unset")
"""The kinds of numbers, each left as it is in turn; what is unset is set in its turn alone."""
_LISTS = re.compile(r"(hidden_sizes|embed_dims?|hidden_dims|channels|dims|widths)$")
_DEPTHS = re.compile(r"(depths|num_blocks|layers|num_layers)$")
_KEPT = re.compile(r"(num_channels|in_channels|out_channels|num_feature_levels|patch_size|stride)")
_FACTORS = re.compile(r"\w+_(coefficient|multiplier)$")
_OTHERS = ("pixel_values", "input_ids", "decoder_input_ids", "input_features", "bbox")
_PARTS = ("text_config", "vision_config", "audio_config", "backbone_config")


class NotBuiltError(Exception):
    """No small configuration of this architecture makes a net."""


def model_types() -> dict[str, str]:
    """Each model type of the library's base mapping, with the class that it names."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return {
        kind: name if isinstance(name, str) else name[0]
        for kind, name in sorted(MODEL_MAPPING_NAMES.items())
    }


def has_batch_norm(kind: str) -> bool:
    """Whether the code of a model type speaks of batch norm; a backbone's may, by its default."""
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    spec = importlib.util.find_spec(f"transformers.models.{model_type_to_module_name(kind)}")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [file for folder in folders for file in Path(folder).glob("modeling_*.py")]
    return any(re.search(r"BatchNorm|running_var", file.read_text()) for file in files)


def build(kind: str) -> nn.Module:
    """A small net of a model type, in evaluation mode.

    Raises:
        NotBuiltError: None of its configurations makes one of few enough parameters.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    reason = ""
    for kept in ("", *reversed(_KINDS)):
        try:
            config = CONFIG_MAPPING[kind]()
            _shrink(config, kept)
            model = getattr(transformers, model_types()[kind])
            with torch.device("meta"):
                size = sum(p.numel() for p in model._from_config(config).parameters())
            if size > _LARGEST:
                raise NotBuiltError(f"{size / 1e6:.0f} million parameters")
            torch.manual_seed(0)
            net: nn.Module = model._from_config(config).eval()
            if net._can_set_experts_implementation():
                # The default has an op of the library's own, which no exporter knows.
                net.set_experts_implementation("batched_mm")
            sample_inputs(net)
            return net
        except ImportError as error:
            raise NotBuiltError(str(error).strip().splitlines()[0]) from error
        except Exception as error:
            reason = reason or " ".join(str(error).split()) or type(error).__name__
    raise NotBuiltError(reason)


def sample_inputs(net: Any) -> dict[str, Tensor]:
    """Inputs that the net accepts, by what its main input is called.

    Raises:
        NotBuiltError: It accepts none of them.
    """
    taken = inspect.signature(net.forward).parameters
    needed = [
        name for name, parameter in taken.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind.name != "VAR_KEYWORD"
    ]  # fmt: skip
    main = net.main_input_name if net.main_input_name in taken else needed[0]
    first = tuple(dict.fromkeys((main, *needed)))
    others = [name for name in _OTHERS if name in taken and name not in first]
    error: Exception | None = None
    for names in (first, *((*first, other) for other in others)):
        for shapes in itertools.product(*(_shapes(name, net.config) for name in names)):
            feeds = {name: _filled(name, shape) for name, shape in zip(names, shapes, strict=True)}
            try:
                with torch.no_grad(), _at_most(20):
                    net(**feeds)
            except Exception as failure:
                error = error or failure
            else:
                return feeds
    raise NotBuiltError(f"{', '.join(first)}: {error}")


def _filled(name: str, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if "mask" in name:
        return torch.ones(shape, dtype=torch.int64)
    if "ids" in name or "bbox" in name:
        return torch.randint(3, 60, shape, generator=generator).sort().values
    return torch.randn(*shape, generator=generator)


def _shapes(name: str, config: Any) -> Iterator[tuple[int, ...]]:
    size = _number(config, "image_size") or 32
    channels = _number(config, "num_channels") or 3
    mels = next(
        (n for key in ("num_mel_bins", "input_feat_per_channel", "feature_size", "input_dim")
         if (n := _number(config, key))), 80
    )  # fmt: skip
    if "pixel" in name:
        for side in dict.fromkeys((size, 64, 32, 128, 224, 256)):
            yield (2, channels, side, side)
        for frames in dict.fromkeys((_number(config, "num_frames") or 4, 2)):
            yield (2, frames, channels, size, size)
    elif "bbox" in name:
        yield (2, 8, 4)
    elif "ids" in name or "mask" in name:
        yield (2, 8)
    elif name == "past_values":
        yield (
            2,
            _number(config, "context_length") or 32,
            _number(config, "num_input_channels") or 1,
        )
    elif "embeds" in name or "states" in name:
        yield (2, 8, _number(config, "hidden_size") or _WIDTH)
    elif "features" in name:
        for frames in (64, 2 * (_number(config, "max_source_positions") or 64), 128, 1024):
            yield from ((2, mels, frames), (2, frames, mels), (2, 1, frames, mels))
            # Frames that come several at a time.
            yield from ((2, frames, 2 * mels), (2, frames, 4 * mels))
    else:
        if (frames := _number(config, "max_length")) and _number(config, "num_mel_bins"):
            yield (2, frames, mels)
        yield from ((2, 4000), (2, 1, 4000), (2, 16000), (2, 1, 16000))


def _number(config: Any, key: str) -> int | None:
    for part in (config, *(getattr(config, name, None) for name in _PARTS)):
        value = getattr(part, key, None)
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if isinstance(value, int):
            return value
    return None


def _shrink(config: Any, kept: str) -> None:
    """Shrink all numbers of a configuration and its parts but those of the kind that is kept."""
    config.use_cache = False
    wide = {name: getattr(config, name, None) for name in ("width_coefficient", "hidden_dim")}
    if "timm" in str(getattr(getattr(config, "backbone_config", None), "model_type", "")):
        # A library that is not there, for weights that are not wanted.
        _own_backbone(config)
    for name, value in list(vars(config).items()):
        if hasattr(value, "to_dict"):
            _shrink(value, kept)
            continue
        small = _small(name.lstrip("_"), value, kept)
        if small is not None:
            with contextlib.suppress(Exception):
                setattr(config, name, small)
    _follow(config, wide)


def _small(name: str, value: Any, kept: str) -> Any:
    """The small number, or list of numbers, in a number's place; None where it stays."""
    if name == "patch_size" and type(value) is int and value > 64:
        # No patch of a vision transformer, but a part of the image.
        return 64
    if _KEPT.search(name) or isinstance(value, bool):
        return None
    if isinstance(value, list | tuple) and value and all(type(item) is int for item in value):
        if _DEPTHS.search(name) and max(value) < 50:
            return None if kept == "depths" else type(value)(1 for _ in value)
        if name.endswith("hook_ids"):
            return type(value)(min(item, _DEPTH - 1) for item in value)
        if _LISTS.search(name) and kept != "lists":
            return type(value)(max(8, 8 * math.ceil(item / 64)) for item in value)
        return None
    if name == "initializer_range":
        # Weights next to nothing, for some, and outputs that no input changes.
        return max(value, 0.02)
    if type(value) is float and _FACTORS.match(name):
        return min(value, 1.0)
    if value is None and kept == "unset":
        value = 1 << 30
    if type(value) is not int or value < 1:
        return None
    for pattern, small in _BY_NAME:
        if re.fullmatch(pattern, name):
            return None if pattern == kept else min(value, small)
    return None


def _follow(config: Any, wide: dict[str, Any]) -> None:
    """Mend the numbers that the code computes from others a second time."""
    words = getattr(config, "vocab_size", None)
    for name, value in vars(config).items():
        if name.endswith("token_id") and isinstance(value, int) and isinstance(words, int):
            setattr(config, name, min(value, words - 1))
    _follow_heads(config)
    factor, hidden = wide["width_coefficient"], wide["hidden_dim"]
    if isinstance(factor, float) and isinstance(hidden, int):
        config.hidden_dim = round(hidden / factor * config.width_coefficient)
    vision = getattr(config, "vision_config", None)
    if isinstance(getattr(vision, "width_coefficient", None), float):
        config.projection_dim = round(vision.out_channels[-1] * vision.width_coefficient)
    first, stages = getattr(config, "patch_embeds_hidden_size", None), getattr(config, "depths", ())
    if isinstance(first, int):
        config.hidden_size = first * 2 ** (len(stages) - 1)


def _follow_heads(config: Any) -> None:
    """Give heads of another width to state spaces, and to positions that are split in parts."""
    hidden = getattr(config, "hidden_size", None)
    for prefix in ("mamba_", ""):
        heads, factor, dim = (
            next((n for n in names if hasattr(config, n)), "")
            for names in (
                (f"{prefix}n_heads", f"{prefix}num_heads"),
                (f"{prefix}expand",),
                (f"{prefix}d_head", f"{prefix}head_dim"),
            )
        )
        if heads and factor and dim and isinstance(hidden, int):
            width = int(getattr(config, factor) * hidden)
            setattr(config, dim, width // getattr(config, heads))
    rope, heads = (
        getattr(config, "rope_parameters", None),
        getattr(config, "num_attention_heads", 0),
    )
    if isinstance(rope, dict) and isinstance(hidden, int) and heads:
        dim = getattr(config, "head_dim", None) or hidden // heads
        half = int(dim * rope.get("partial_rotary_factor", 1.0)) // 2
        rope["mrope_section"] = [half - 2 * (half // 3), half // 3, half // 3]


def _own_backbone(config: Any) -> None:
    import transformers

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    asked = getattr(config.backbone_config, "out_indices", None) or [4]
    stages = [f"stage{index}" for index in sorted(min(index, 4) for index in asked)]
    config.backbone_config = transformers.ResNetConfig(**sizes, out_features=stages)
    config.use_timm_backbone, config.backbone = False, None


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Give up on a pass that takes longer: a configuration is not as small as it seems."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"a pass takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
