"""ONNX files of Keras's own architectures, as tf2onnx writes them.

    python benchmarks/keras_files.py FOLDER [NAME]...

Runs where tensorflow and tf2onnx are installed, which needs nothing of bnfuse; then
``python -m benchmarks.onnx_files FOLDER`` folds what it wrote. Weights are random from one seed,
norms have parameters that do something, and statistics of data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

NETS = {
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "ResNet50V2": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "NASNetMobile": 96,
    "Xception": 96,
    "InceptionV3": 96,
}
"""What is in ``keras.applications``, and the size of its images."""


def enliven(net: keras.Model, size: int) -> None:
    """Give every batch norm parameters that do something, and the statistics of data."""
    rng = np.random.default_rng(0)
    norms = [
        layer
        for layer in net._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        for weight in norm.weights:
            positive = "gamma" in weight.name or "variance" in weight.name
            drawn = (
                rng.uniform(0.6, 1.6, weight.shape) if positive else rng.normal(size=weight.shape)
            )
            weight.assign(drawn if positive else 0.3 * drawn)
        norm.momentum = 0.0
    net(rng.normal(size=(4, size, size, 3)).astype(np.float32), training=True)


def write(name: str, folder: Path) -> None:
    """Convert one architecture."""
    keras.utils.set_random_seed(0)
    size = NETS[name]
    make = getattr(keras.applications, name)
    net = make(weights=None, input_shape=(size, size, 3), classes=10)
    enliven(net, size)
    called = tf.function(lambda x: net(x, training=False))
    spec = [tf.TensorSpec((None, size, size, 3), tf.float32, name="x")]
    model, _ = tf2onnx.convert.from_function(called, input_signature=spec, opset=17)
    onnx.save(model, folder / f"{name}.onnx")


def main() -> None:
    """Convert all that are named; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *NETS], help="default: all")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or NETS:
        write(name, options.folder)
        print(name, flush=True)


if __name__ == "__main__":
    main()
