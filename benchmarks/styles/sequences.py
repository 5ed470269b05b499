"""Nets of sounds, of series, of tokens and of tables."""

from __future__ import annotations

__all__ = ["NETS"]

import torch
from torch import Tensor, nn


class _Chomp(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : -self.count].contiguous()


class _Causal(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        conv = nn.utils.parametrizations.weight_norm(
            nn.Conv1d(inputs, outputs, 3, padding=2 * dilation, dilation=dilation)
        )
        self.path = nn.Sequential(
            conv, _Chomp(2 * dilation), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.2)
        )
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.skip(x))


def temporal() -> nn.Module:
    """Dilated causal convolutions whose weights are normed, and batch norm (TCN)."""
    layers = [_Causal(3, 8, 1), _Causal(8, 8, 2), _Causal(8, 8, 4)]
    return nn.Sequential(*layers, nn.Conv1d(8, 2, 1))


class Wav2Vec(nn.Module):
    """A group norm of one group per channel after the first convolution, layer norms later."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 8, 10, 5, bias=False)
        self.group = nn.GroupNorm(8, 8)
        self.second = nn.Conv1d(8, 8, 3, 2, bias=False)
        self.norm, self.project = nn.LayerNorm(8), nn.Linear(8, 8)
        self.place = nn.Conv1d(8, 8, 4, padding=2, groups=2)

    def forward(self, sound: Tensor) -> Tensor:
        x = nn.functional.gelu(self.group(self.first(sound)))
        x = nn.functional.gelu(self.second(x)).transpose(1, 2)
        x = self.project(self.norm(x))
        placed = self.place(x.transpose(1, 2))[:, :, :-1].transpose(1, 2)
        return x + nn.functional.gelu(placed)


class _Conformer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.enter = nn.Conv1d(channels, 2 * channels, 1)
        self.mix = nn.Conv1d(channels, channels, 5, padding=2, groups=channels)
        self.batch_norm = nn.BatchNorm1d(channels)
        self.leave = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.glu(self.enter(self.norm(x).transpose(1, 2)), 1)
        y = nn.functional.silu(self.batch_norm(self.mix(y)))
        return x + self.leave(y).transpose(1, 2)


class Conformer(nn.Module):
    """Batch norm between a depthwise convolution and a swish, after a gated one."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(10, 8)
        self.blocks = nn.Sequential(_Conformer(8), _Conformer(8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.blocks(self.enter(frames))
        y: Tensor = x + self.attention(x, x, x, need_weights=False)[0]
        return y


class _Speaker(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm1d(channels)
        self.gate = nn.Sequential(
            nn.Conv1d(channels, 4, 1), nn.ReLU(), nn.BatchNorm1d(4), nn.Conv1d(4, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(torch.relu(self.conv(x)))
        return x + y * torch.sigmoid(self.gate(y.mean(2, keepdim=True)))


class Ecapa(nn.Module):
    """Norms after Relus, and pooled statistics weighed by attention."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv1d(10, 8, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(8))
        self.blocks = nn.Sequential(_Speaker(8), _Speaker(8))
        self.attend = nn.Sequential(
            nn.Conv1d(8, 4, 1), nn.ReLU(), nn.BatchNorm1d(4), nn.Tanh(), nn.Conv1d(4, 8, 1)
        )
        self.norm, self.last = nn.BatchNorm1d(16), nn.Linear(16, 6)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.blocks(self.enter(frames))
        weights = self.attend(x).softmax(2)
        mean = (x * weights).sum(2)
        deviation = ((x**2 * weights).sum(2) - mean**2).clamp(min=1e-4).sqrt()
        y: Tensor = self.last(self.norm(torch.cat([mean, deviation], 1)))
        return y


class Recurrent(nn.Module):
    """Batch norm over the features of a sequence, before and after a recurrent layer."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], bidirectional: bool) -> None:
        super().__init__()
        width = 16 if bidirectional else 8
        self.before = nn.BatchNorm1d(6)
        self.rnn = kind(6, 8, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.after, self.last = nn.BatchNorm1d(width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x.transpose(1, 2)).transpose(1, 2)
        y = self.after(self.rnn(x)[0].transpose(1, 2)).transpose(1, 2)
        z: Tensor = self.last(y)
        return z


def lstm() -> nn.Module:
    """Both directions."""
    return Recurrent(nn.LSTM, bidirectional=True)


def gru() -> nn.Module:
    """One direction."""
    return Recurrent(nn.GRU, bidirectional=False)


class Crnn(nn.Module):
    """Convolutions over a line of text, columns as steps of a recurrent layer."""

    input_shape = (1, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d((2, 2), (2, 1), (0, 1)), nn.Conv2d(8, 8, (4, 2)), nn.BatchNorm2d(8),
            nn.ReLU(),
        )  # fmt: skip
        self.rnn, self.last = nn.LSTM(8, 6, bidirectional=True), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.features(x).squeeze(2).permute(2, 0, 1)
        y: Tensor = self.last(self.rnn(steps)[0])
        return y


class Text(nn.Module):
    """An embedding, convolutions of three widths with norms, maxima over time (TextCNN)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv1d(8, 6, k), nn.BatchNorm1d(6), nn.ReLU()) for k in (2, 3, 4)
        )
        self.last = nn.Linear(18, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens).transpose(1, 2)
        y: Tensor = self.last(torch.cat([conv(x).amax(2) for conv in self.convs], 1))
        return y


class Ranking(nn.Module):
    """A table's numbers and categories, batch norm on both (DLRM)."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 6) for size in (11, 7))
        self.bottom = nn.Sequential(
            nn.BatchNorm1d(5), nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU()
        )
        self.top = nn.Sequential(nn.Linear(9, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, numbers: Tensor, kinds: Tensor) -> Tensor:
        dense = self.bottom(numbers)
        rows = [
            dense,
            *(table(kinds[:, i] % table.num_embeddings) for i, table in enumerate(self.tables)),
        ]
        stacked = torch.stack(rows, 1)
        products = stacked @ stacked.transpose(1, 2)
        first, second = torch.tril_indices(3, 3, -1)
        y: Tensor = self.top(torch.cat([dense, products[:, first, second]], 1))
        return torch.sigmoid(y)


NETS = {
    "TCN": temporal,
    "wav2vec": Wav2Vec,
    "Conformer": Conformer,
    "ECAPA-TDNN": Ecapa,
    "LSTM": lstm,
    "GRU": gru,
    "CRNN": Crnn,
    "TextCNN": Text,
    "DLRM": Ranking,
}
