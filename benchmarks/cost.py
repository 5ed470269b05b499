"""What folding an ONNX file costs: beside reading and writing it, beside the peers, growing.

    python -m benchmarks.cost [--rounds N] [--quick]

Whole processes, visited in turns; nothing is verified. The peers do not fold this norm.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import gc
import importlib.util
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import graphs
from benchmarks.environment import save
from benchmarks.process import Cost, measure
from bnfuse.bench.timing import orders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx

_WIDTH = 110

_COPY = "import onnx, sys; onnx.save(onnx.load(sys.argv[1]), sys.argv[2])"
_IR_COPY = "import onnx_ir, sys; onnx_ir.save(onnx_ir.load(sys.argv[1]), sys.argv[2])"
_SLIM = "import onnxslim, sys; onnxslim.slim(sys.argv[1], sys.argv[2])"
_SIM = (
    "import onnx, onnxsim, sys; onnx.save(onnxsim.simplify(onnx.load(sys.argv[1]))[0], sys.argv[2])"
)
_COMMANDS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "onnx.load + onnx.save": (None, ("-c", _COPY)),
    "onnx_ir.load + save": (None, ("-c", _IR_COPY)),
    "bnfuse fold --no-verify": (None, ("-m", "bnfuse", "fold", "--no-verify", "-q")),
    "onnxslim": ("onnxslim", ("-c", _SLIM)),
    "onnxsim": ("onnxsim", ("-c", _SIM)),
}
"""By name: the package that it needs, if it is an extra, and Python's arguments."""

_CURVES: dict[str, tuple[Callable[[int], onnx.ModelProto], tuple[int, ...]]] = {
    "chain": (graphs.chain, (100, 300, 1000, 3000, 10000)),
    "residual": (graphs.residual, (50, 150, 500, 1500)),
    "concat": (graphs.concat, (50, 150, 500, 1500)),
}


def main() -> None:
    """Measure the processes and the curves, print both, save the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, small; not saved")
    arguments = parser.parse_args()
    console = Console(width=_WIDTH)
    processes = _processes(1 if arguments.quick else arguments.rounds)
    _print_processes(console, processes)
    curves = {
        name: _curve(make, sizes[:-2] if arguments.quick else sizes)
        for name, (make, sizes) in _CURVES.items()
    }
    _print_curves(console, curves)
    if not arguments.quick:
        console.print(f"saved to {save('cost', {'processes': processes, 'curves': curves})}")


def _processes(rounds: int) -> dict[str, Any]:
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "resnet50.onnx")
        onnx.save(graphs.resnet50(), source)
        commands = _installed(source, Path(folder))
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        names = list(commands)
        for order in track(list(orders(len(names), rounds)), description="processes"):
            for index in order:
                costs[names[index]].append(measure(commands[names[index]]))
        return {
            "bytes": source.stat().st_size,
            "rounds": rounds,
            "costs": {
                name: [asdict(cost) for cost in costs[name]] if name in costs else None
                for name in _COMMANDS
            },
        }


def _installed(source: Path, folder: Path) -> dict[str, list[str]]:
    commands = {}
    for number, (name, (package, arguments)) in enumerate(_COMMANDS.items()):
        target = str(folder / f"out{number}.onnx")
        where = [str(source), *(["-o"] if "-m" in arguments else []), target]
        if package is None or importlib.util.find_spec(package):
            commands[name] = [sys.executable, *arguments, *where]
    return commands


def _curve(make: Callable[[int], onnx.ModelProto], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Seconds of each inner stage, in this process's own time, for growing graphs."""
    return [{"size": size, **_stages(make(size))} for size in sizes]


def _stages(proto: onnx.ModelProto) -> dict[str, Any]:
    import onnx_ir as ir

    from bnfuse.folding import fold
    from bnfuse.lifting import lift
    from bnfuse.lifting.prepare import prepare
    from bnfuse.lowering import lower

    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[[], Any]) -> Any:
        gc.collect()
        start = time.process_time()
        result = stage()
        seconds[name] = time.process_time() - start
        return result

    model = timed("read", partial(ir.serde.deserialize_model, proto))
    before = len(model.graph)
    timed("prepare", partial(prepare, model))
    lifted = timed("lift", partial(lift, model))
    timed("fold", partial(fold, lifted))
    timed("lower", partial(lower, model))
    timed("write", partial(ir.serde.serialize_model, model))
    return {"nodes": {"before": before, "after": len(model.graph)}, "seconds": seconds}


def _print_processes(console: Console, processes: dict[str, Any]) -> None:
    table = Table(
        title=f"{processes['bytes'] / 1e6:.0f} MB ResNet-50 with hand-written norm, whole process, "
        f"median of {processes['rounds']}",
        title_justify="left",
    )
    table.add_column("")
    for title in ("wall", "processor", "peak memory", "processor ×", "memory ×"):
        table.add_column(title, justify="right")
    first = _medians(next(iter(processes["costs"].values())))
    for name, costs in processes["costs"].items():
        if costs is None:
            table.add_row(name, "not installed")
            continue
        wall, cpu, peak = _medians(costs)
        table.add_row(
            name,
            f"{wall:.2f} s",
            f"{cpu:.2f} s",
            f"{peak / 2**20:,.0f} MiB",
            f"{cpu / first[1]:.2f}",
            f"{peak / first[2]:.2f}",
        )
    console.print(table)


def _medians(costs: Sequence[dict[str, float]]) -> tuple[float, float, float]:
    wall, cpu, peak = (statistics.median(c[key] for c in costs) for key in ("wall", "cpu", "peak"))
    return wall, cpu, peak


def _print_curves(console: Console, curves: dict[str, list[dict[str, Any]]]) -> None:
    for name, points in curves.items():
        table = Table(title=f"{name}: seconds of each stage", title_justify="left")
        for title in ("size", "nodes", "left", *points[0]["seconds"], "µs a node"):
            table.add_column(title, justify="right")
        for point in points:
            seconds, nodes = point["seconds"], point["nodes"]
            table.add_row(
                f"{point['size']:,}",
                f"{nodes['before']:,}",
                f"{nodes['after']:,}",
                *(f"{value:.2f}" for value in seconds.values()),
                f"{sum(seconds.values()) / nodes['before'] * 1e6:.0f}",
            )
        console.print(table)


if __name__ == "__main__":
    main()
