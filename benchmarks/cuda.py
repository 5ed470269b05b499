"""Parity and speed on a GPU in one command: ``python -m benchmarks.cuda``.

For each net with hand-written norm: its fold is verified on the CUDA provider, strict and as
shipped, with the proof of where the work ran; then the net, its fold and the same net with no norm
at all are timed against each other at batch 1 and 32, in float32 and float16, plain and as a CUDA
graph. Inputs and outputs stay on the device. The result lands in ``results/cuda.json``.

``--provider cpu`` does the same on the CPU, without graphs: so it is known to run.
"""

from __future__ import annotations

__all__ = ["Trio", "main", "measure_parity", "measure_speed"]

import argparse
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from benchmarks import graphs
from benchmarks.environment import RESULTS, save
from bnfuse.bench.statistics import LEAST_ROUNDS, paired_ratio, spread
from bnfuse.bench.timing import Schedule, interleave
from bnfuse.errors import ProviderError
from bnfuse.pipeline import fold
from bnfuse.verifying import Verdict, verify
from bnfuse.verifying.runtime.providers import Row, explain_absence, ort_name, resolve
from bnfuse.verifying.runtime.sessions import Session, unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Array = np.ndarray[Any, Any]

PRECISIONS = ("float32", "float16")


@dataclass(frozen=True)
class Trio:
    """One net three times: with its norms, folded, and without any norm.

    Attributes:
        name: In the table.
        precision: ``float32`` or ``float16``.
        image: The shape of one row of its input.
    """

    name: str
    precision: str
    image: tuple[int, ...]
    unfolded: onnx.ModelProto
    folded: onnx.ModelProto
    without: onnx.ModelProto

    @classmethod
    def of(
        cls, name: str, unfolded: onnx.ModelProto, without: onnx.ModelProto, precision: str
    ) -> Trio:
        """Fold ``unfolded`` in a precision."""
        unfolded, without = (_in(precision, model) for model in (unfolded, without))
        folded = ir.to_proto(fold(unfolded, verified=False).model)
        dims = unfolded.graph.input[0].type.tensor_type.shape.dim
        image = tuple(dim.dim_value for dim in dims[1:])
        return cls(name, precision, image, unfolded, folded, without)

    def feeds(self, batch: int) -> dict[str, Array]:
        """One batch of images."""
        rng = np.random.default_rng(0)
        values = rng.standard_normal((batch, *self.image)).astype(self.precision)
        return {self.unfolded.graph.input[0].name: values}

    @property
    def models(self) -> dict[str, onnx.ModelProto]:
        """The three by name, the reference last."""
        return {"unfolded": self.unfolded, "folded": self.folded, "no norm": self.without}


def measure_parity(trio: Trio, provider: str) -> dict[str, Any]:
    """Verify the fold on ``provider``; every row with its placement."""
    result = verify(trio.unfolded, trio.folded, providers=[provider])
    return {
        "verdict": result.verdict.value,
        "reason": result.reason,
        "truth": result.truth.kind,
        "rows": [
            {
                "optimization": row.optimization,
                "mode": row.mode,
                "verdict": row.verdict.value,
                "reason": row.reason,
                "placement": row.placement,
                "outputs": [
                    {
                        "name": output.name,
                        "error_original": output.error_original,
                        "error_candidate": output.error_candidate,
                        "usage": output.usage,
                    }
                    for output in row.outputs
                ],
            }
            for row in result.rows
        ],
    }


def measure_speed(
    trio: Trio, provider: str, batch: int, as_graph: bool, schedule: Schedule
) -> dict[str, Any]:
    """Time the three against each other.

    Returns:
        Milliseconds a call of each, and the ratios to the net without norms.

    Raises:
        ProviderError: The work does not run on ``provider``.
    """
    feeds = trio.feeds(batch)
    calls = [
        _bound(model, provider, feeds, as_graph, f"{trio.name}, {name}")
        for name, model in trio.models.items()
    ]
    seconds = interleave(calls, schedule)
    return {
        "batch": batch,
        "cuda_graph": as_graph,
        "milliseconds": {
            name: asdict(spread(1e3 * times))
            for name, times in zip(trio.models, seconds, strict=True)
        },
        "to_no_norm": {
            name: asdict(paired_ratio(times, seconds[-1]))
            for name, times in zip(list(trio.models)[:-1], seconds[:-1], strict=True)
        },
        "unfolded_to_folded": asdict(paired_ratio(seconds[0], seconds[1])),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, save; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--net", action="append", choices=_NETS, help="only this; repeatable")
    parser.add_argument("--batch", type=int, action="append", help="default: 1 and 32")
    parser.add_argument("--rounds", type=int, default=50, help=f"at least {LEAST_ROUNDS}")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the result")
    options = parser.parse_args(arguments)
    absence = explain_absence(options.provider)
    if absence is not None:
        print(f"{options.provider} cannot be used: {absence}", file=sys.stderr)
        return 3
    schedule = Schedule(rounds=options.rounds)
    found = []
    for trio in _trios(options.net or list(_NETS)):
        entry: dict[str, Any] = {"net": trio.name, "precision": trio.precision}
        entry["parity"] = measure_parity(trio, options.provider)
        print(f"{trio.name}, {trio.precision}: parity {entry['parity']['verdict']}", flush=True)
        for row in entry["parity"]["rows"]:
            print(f"  {row['optimization']} ({row['mode']}): {row['verdict']} {row['placement']}")
        entry["speed"] = [
            measure_speed(trio, options.provider, batch, as_graph, schedule)
            for batch in options.batch or [1, 32]
            for as_graph in ((False, True) if options.provider == "cuda" else (False,))
        ]
        for speed in entry["speed"]:
            print(f"  {_line(speed)}", flush=True)
        found.append(entry)
    result = {"provider": options.provider, "device": _device(), "nets": found}
    print(f"written to {save(options.provider, result, options.out).name}")
    passed = all(entry["parity"]["verdict"] == Verdict.PASS.value for entry in found)
    return 0 if passed else 1


def _resnet50() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    return graphs.resnet50(), graphs.resnet50(norms=False)


def _architecture(name: str) -> Callable[[], tuple[onnx.ModelProto, onnx.ModelProto]]:
    def make() -> tuple[onnx.ModelProto, onnx.ModelProto]:
        import torch

        from benchmarks.architectures import ARCHITECTURES, build, without_norms
        from bnfuse.models.swap import swap_norms
        from bnfuse.pipeline import export

        architecture = next(item for item in ARCHITECTURES if item.name == name)
        image = torch.randn(2, 3, architecture.size, architecture.size)
        net = build(architecture)
        bare = without_norms(architecture, net, image)
        one, two = (export(module, image).model for module in (swap_norms(net), bare))
        return ir.to_proto(one), ir.to_proto(two)

    return make


_NETS: dict[str, Callable[[], tuple[onnx.ModelProto, onnx.ModelProto]]] = {
    "chain": lambda: (graphs.chain(8, 16), graphs.chain(8, 16, norms=False)),
    "ResNet-50": _resnet50,
    "MobileNetV2": _architecture("MobileNetV2"),
    "DenseNet": _architecture("DenseNet"),
    "RepVGG": _architecture("RepVGG"),
}


def _trios(names: list[str]) -> Iterator[Trio]:
    for name in names:
        unfolded, without = _NETS[name]()
        for precision in PRECISIONS:
            yield Trio.of(name, unfolded, without, precision)


def _in(precision: str, model: onnx.ModelProto) -> onnx.ModelProto:
    if precision == "float32":
        return model
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    narrow: onnx.ModelProto = convert_float_to_float16(copy, disable_shape_infer=True)
    return narrow


def _bound(
    model: onnx.ModelProto, provider: str, feeds: dict[str, Array], as_graph: bool, label: str
) -> Callable[[], object]:
    """Return a call that runs ``model`` on inputs and outputs that stay on the device."""
    import onnxruntime

    _check_placement(model, provider, feeds, label)
    device = "cuda" if provider == "cuda" else "cpu"
    settings = {"enable_cuda_graph": "1"} if as_graph else {}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    chosen: list[Any] = [(ort_name(provider), settings)]
    chosen += ["CPUExecutionProvider"] if device == "cuda" else []
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=chosen)
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(
            name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0)
        )
    # A graph replays on the same addresses: the outputs need memory of their own, once.
    for item, value in zip(session.get_outputs(), session.run(None, feeds), strict=True):
        binding.bind_ortvalue_output(
            item.name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0)
        )

    def call() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return call


def _check_placement(
    model: onnx.ModelProto, provider: str, feeds: dict[str, Array], label: str
) -> None:
    rows = resolve([provider]).rows
    row = next((row for row in rows if row.optimization == "all"), Row(provider, provider, "all"))
    session = Session(model.SerializeToString(), row)
    session.run(feeds)
    reason, _ = unproven(session, row)
    if reason:
        raise ProviderError(f"{label}: {reason}.", "Check that the provider's libraries load.")


def _line(speed: dict[str, Any]) -> str:
    times = ", ".join(
        f"{name} {numbers['median']:.3f} ms" for name, numbers in speed["milliseconds"].items()
    )
    ratio = speed["unfolded_to_folded"]
    kind = "CUDA graph" if speed["cuda_graph"] else "plain"
    return (
        f"batch {speed['batch']}, {kind}: {times}; the fold is {ratio['value']:.2f} times as fast "
        f"({ratio['low']:.2f} to {ratio['high']:.2f})"
    )


def _device() -> str | None:
    """The GPU's name, memory and driver, where there is one."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        ran = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip().splitlines()[0] if ran.stdout.strip() else None


if __name__ == "__main__":
    sys.exit(main())
