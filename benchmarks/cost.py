"""What folding an ONNX file costs: beside reading and writing it, beside the peers, growing.

    python -m benchmarks.cost [--rounds N] [--huge] [--quick]

Whole processes, visited in turns. The peers do not fold this norm. One more run is verified, to
show what the proof costs; with ``--huge`` a model of 4 GB is folded too, in a folder for temporary
files that has to hold 9 GB.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import gc
import importlib.util
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from benchmarks import graphs
from benchmarks.cost_text import plot, print_curves, print_huge, print_processes
from benchmarks.environment import RESULTS, save
from benchmarks.huge import fold_huge
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
_OPTIMIZER = (
    "import onnx, onnxoptimizer, sys; "
    "onnx.save(onnxoptimizer.optimize(onnx.load(sys.argv[1])), sys.argv[2])"
)
_VERIFIED = ("-m", "bnfuse", "fold", "-q")
_COMMANDS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "onnx.load + onnx.save": (None, ("-c", _COPY)),
    "onnx_ir.load + save": (None, ("-c", _IR_COPY)),
    "bnfuse fold --no-verify": (None, ("-m", "bnfuse", "fold", "--no-verify", "-q")),
    "onnxoptimizer": ("onnxoptimizer", ("-c", _OPTIMIZER)),
    "onnxslim": ("onnxslim", ("-c", _SLIM)),
    "onnxsim": ("onnxsim", ("-c", _SIM)),
}
"""By name: the package that it needs, if it is an extra, and Python's arguments."""

_CURVES: dict[str, tuple[Callable[[int], onnx.ModelProto], tuple[int, ...]]] = {
    "chain": (graphs.chain, (100, 300, 1000, 3000, 10000)),
    "residual": (graphs.residual, (50, 150, 500, 1500, 5000)),
    "concat": (graphs.concat, (50, 150, 500, 1500)),
}


def main() -> None:
    """Measure the processes and the curves, print both, save the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--huge", action="store_true", help="fold a model of 4 GB as well")
    parser.add_argument("--quick", action="store_true", help="one round, small; not saved")
    arguments = parser.parse_args()
    console = Console(width=_WIDTH)
    quick: bool = arguments.quick
    result: dict[str, Any] = {"processes": _processes(1 if quick else arguments.rounds, not quick)}
    print_processes(console, result["processes"])
    result["curves"] = {
        name: _curve(make, sizes[:-2] if quick else sizes)
        for name, (make, sizes) in _CURVES.items()
    }
    print_curves(console, result["curves"])
    if arguments.huge:
        result["huge"] = fold_huge(2) if quick else fold_huge()
        print_huge(console, result["huge"])
    if not quick:
        plot(result["curves"], RESULTS / "cost.png")
        console.print(f"saved to {save('cost', result)}")


def _processes(rounds: int, verified: bool) -> dict[str, Any]:
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
        proof = [sys.executable, *_VERIFIED, str(source), "-o", str(Path(folder, "proved.onnx"))]
        return {
            "bytes": source.stat().st_size,
            "verified": asdict(measure(proof)) if verified else None,
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
    from bnfuse.lifting.preparing.prepare import prepare
    from bnfuse.lowering import lower
    from bnfuse.onnxfiles.message import ModelMessage

    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[[], Any]) -> Any:
        gc.collect()
        # As in a fold, where the collector would go over a graph that only grows.
        gc.disable()
        start = time.process_time()
        result = stage()
        seconds[name] = time.process_time() - start
        gc.enable()
        return result

    def write() -> None:
        with tempfile.TemporaryFile() as file:
            ModelMessage.of(model).write(file, lambda *_: None)

    model = timed("read", partial(ir.serde.deserialize_model, proto))
    before = len(model.graph)
    timed("prepare", partial(prepare, model))
    lifted = timed("lift", partial(lift, model))
    timed("fold", partial(fold, lifted))
    timed("lower", partial(lower, model, lazily=True))
    timed("write", write)
    return {"nodes": {"before": before, "after": len(model.graph)}, "seconds": seconds}


if __name__ == "__main__":
    main()
