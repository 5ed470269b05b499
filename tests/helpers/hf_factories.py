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
