"""One small file of each kind, honest or hostile, for the tests of loading."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from typing import TYPE_CHECKING

import onnx
import torch
from safetensors.torch import save_file
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

KINDS = (
    "module",
    "state_dict",
    "checkpoint",
    "legacy_state_dict",
    "legacy_module",
    "torchscript",
    "exported_program",
    "safetensors",
    "onnx",
    "pickle",
)


def small_net(dtype=torch.float32):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with torch.no_grad():
        net[1].running_mean.uniform_(-1, 1)
        net[1].running_var.uniform_(0.5, 2)
    return net.to(dtype).eval()


def write(kind: str, path: Path) -> Path:
    net = small_net()
    x = torch.zeros(2, 1, 8, 8)
    if kind == "module":
        torch.save(net, path)
    elif kind == "state_dict":
        torch.save(net.state_dict(), path)
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "state_dict": net.state_dict()}, path)
    elif kind == "legacy_state_dict":
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)
    elif kind == "legacy_module":
        torch.save(net, path, _use_new_zipfile_serialization=False)
    elif kind == "torchscript":
        torch.jit.trace(net, x).save(str(path))
    elif kind == "exported_program":
        batch = ({0: torch.export.Dim.DYNAMIC},)
        torch.export.save(torch.export.export(net, (x,), dynamic_shapes=batch), str(path))
    elif kind == "safetensors":
        save_file(net.state_dict(), str(path))
    elif kind == "onnx":
        path.write_bytes(small_onnx().SerializeToString())
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(net.state_dict(), protocol=2))
    else:
        raise ValueError(kind)
    return path


def small_onnx() -> onnx.ModelProto:
    return onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20]>
        net (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] w = {1.0, 2.0, 3.0, 4.0}>
        { y = MatMul(x, w) }
        """
    )


class Payload:
    """Pickles as a call: ``Payload(os.system, "touch f")`` is what an attacker writes."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def touch(path: Path) -> Payload:
    return Payload(os.system, f"touch {path}")


def replace_entry(path: Path, name_end: str, change) -> None:
    """Rewrite one entry of a zip archive in place."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, change(data) if info.filename.endswith(name_end) else data)
    path.write_bytes(out.getvalue())
