"""Small nets of ``transformers``, from its own configurations: nothing is downloaded.

Their weights are as the library draws them, and their batch norms have seen data: with statistics
from nowhere a signal dies away in nets of this depth, and all that is left to compare are shifts.
"""

from __future__ import annotations

__all__ = ["CONFIGURED", "lively", "see"]

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

_FOUR: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
_LEVIT: dict[str, Any] = {
    "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2],
    "depths": [1, 1, 1], "key_dim": [8, 8, 8],
}  # fmt: skip
_BERT: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 64,
}  # fmt: skip
_KINDS: dict[str, tuple[str, dict[str, Any], int]] = {
    "ResNet": ("ResNet", {"embedding_size": 8, **_FOUR}, 32),
    "MobileNetV1": ("MobileNetV1", {"depth_multiplier": 0.25, "image_size": 64}, 64),
    "BERT with a mask": ("Bert", _BERT, 0),
    "ConvNeXtV2": ("ConvNextV2", _FOUR, 64),
    "LeViT": ("Levit", _LEVIT, 64),
    "MobileNetV2": ("MobileNetV2", {"depth_multiplier": 0.25, "image_size": 64}, 64),
}


def lively(net: nn.Module, inputs: dict[str, torch.Tensor]) -> nn.Module:
    """Return a net in evaluation mode whose batch norms have the statistics of these inputs."""
    net.eval()
    for norm in net.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(norm.weight, 0.6, 1.6)
            nn.init.normal_(norm.bias, std=0.3)
    see(net, inputs)
    return net


def see(net: nn.Module, inputs: dict[str, torch.Tensor]) -> None:
    """Give what keeps running statistics, frozen or not, those of one pass over these inputs.

    A statistic of one number stays as it was, and so does all that the pass does not reach. No
    variance is below a hundredth of their mean: what is silent here may speak elsewhere.
    """

    def keep(norm: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        numbers = next(iter((*args, *named.values()))).detach().transpose(0, 1).flatten(1)
        if numbers.ndim == 2 and numbers.shape[1] > 1:
            norm.running_mean.copy_(numbers.mean(1))
            variance = numbers.var(1)
            norm.running_var.copy_(variance.clamp_min(float(variance.mean()) / 100))

    norms = [part for part in net.modules() if getattr(part, "running_var", None) is not None]
    hooks = [norm.register_forward_pre_hook(keep, with_kwargs=True) for norm in norms]
    try:
        with torch.no_grad():
            net(**inputs)
    finally:
        for hook in hooks:
            hook.remove()


def _made(kind: str, seed: int) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    import transformers

    prefix, numbers, size = _KINDS[kind]
    torch.manual_seed(seed)
    config = getattr(transformers, f"{prefix}Config")(**numbers)
    net = getattr(transformers, f"{prefix}Model")._from_config(config)
    if size:
        inputs = {"pixel_values": torch.randn(4, 3, size, size)}
    else:
        mask = torch.ones(4, 9, dtype=torch.int64)
        mask[1:, 6:] = 0
        inputs = {"input_ids": torch.randint(0, 99, (4, 9)), "attention_mask": mask}
    return lively(net, inputs), inputs


def _maker(kind: str) -> Callable[[int], tuple[nn.Module, dict[str, torch.Tensor]]]:
    return lambda seed: _made(kind, seed)


CONFIGURED = {f"transformers {kind}": _maker(kind) for kind in _KINDS}
"""What makes each net from a seed, with inputs that it takes, by name."""
