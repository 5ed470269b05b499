"""Small nets of real architectures, built from their configurations without a network."""

from __future__ import annotations

import torch
import transformers as t  # type: ignore[import-untyped]


def _filled(model):
    torch.manual_seed(0)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.5, 0.5)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    for name, parameter in model.named_parameters():
        # A fresh layer norm scales by one and shifts by nothing: there would be nothing to fold.
        if "norm" in name.lower():
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.ndim == 4:
            # The libraries' own are so small that nothing of the input reaches the output.
            torch.nn.init.kaiming_normal_(parameter)
    return model.eval()


def resnet():
    config = t.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[2, 1], num_labels=3)
    return _filled(t.ResNetForImageClassification(config))


def mobilenet():
    config = t.MobileNetV2Config(depth_multiplier=0.1, image_size=32, num_labels=3)
    return _filled(t.MobileNetV2ForImageClassification(config))


def bert():
    config = t.BertConfig(
        vocab_size=19,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    return _filled(t.BertModel(config, add_pooling_layer=False))


def vit():
    config = t.ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_labels=3,
    )
    return _filled(t.ViTForImageClassification(config))


class _Logits(torch.nn.Module):
    """A language model without its cache: tokens in, logits out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids, use_cache=False, return_dict=False)[0]


def llama():
    config = t.LlamaConfig(
        vocab_size=19,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        use_cache=False,
    )
    return _Logits(_filled(t.LlamaForCausalLM(config))).eval()
