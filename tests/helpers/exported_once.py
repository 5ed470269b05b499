"""Importing this exports a net: torch's exporter imports and registers most of itself only then."""

from __future__ import annotations

import logging
from contextlib import suppress

import torch
from exporter import keep_operators
from torch import nn

with suppress(ImportError):
    import tqdm

    # It would start a thread, and a fork has none but the one that made it.
    tqdm.tqdm.monitor_interval = 0

logging.disable()
with torch.random.fork_rng([]):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    for _ in range(2):
        torch.onnx.export(
            net, (torch.ones(2, 1, 4, 4),), dynamo=True, verbose=False, dynamic_shapes=dynamic
        )
        # The second export is the first that finds what is kept.
        keep_operators()
logging.disable(logging.NOTSET)
