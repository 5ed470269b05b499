"""Architectures × spellings of norm × tools: what is left, what is wrong, and how fast it is.

    python -m benchmarks.coverage [--full] [--only NAME]… [--spelling NAME]… [--rounds N]

All tools are given the same ONNX file. Left are the norms and elementwise ops that the result has
beyond those of the same net without norms under the same tool; an error is relative to the float64
module's output; the time is over the net without norms, on one thread, in turns in one process. A
net of parallel branches is compared with its single-branch form.
OpenVINO runs in its own runtime and is compared with its own run of the net without norms.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import copy
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from benchmarks.architectures import ARCHITECTURES, QUICK, Architecture, build, without_norms
from benchmarks.coverage_text import plot, render
from benchmarks.environment import RESULTS, save
from benchmarks.tools import TOOLS, MissingToolError, Run, Tool, open_optimised
from bnfuse.bench.statistics import paired_ratio
from bnfuse.bench.timing import Schedule, interleave
from bnfuse.errors import BnfuseError
from bnfuse.models.swap import SPELLINGS, swap_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STOCK = "stock"
_ELEMENTWISE = {
    *("BatchNormalization", "Mul", "Add", "Sub", "Div", "Neg", "Sqrt", "Reciprocal", "Pow"),
    # As OpenVINO names them.
    *("Eltwise", "Multiply", "Subtract", "Divide", "Subgraph", "BatchNormInference"),
}
_WRONG = 1e-4
"""Relative error above which a result is another function: float32's own lies near 1e-6 ..."""
_OWN = 10.0
"""... or, where a net magnifies rounding, so many times the unfolded file's own error."""


def main() -> None:
    """Measure, print a table a spelling, save the numbers and the plot."""
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    console = Console(width=130, highlight=False)
    chosen = [a for a in ARCHITECTURES if a.name in (arguments.only or _names(arguments.full))]
    schedule = Schedule(rounds=arguments.rounds, warmup=1)
    rows: list[dict[str, Any]] = []
    for architecture in chosen:
        for spelling in arguments.spelling:
            start = time.perf_counter()
            row = _row(architecture, spelling, schedule)
            rows.append(row)
            seconds = time.perf_counter() - start
            told = row.get("failed") or f"{row['norms']} norms"
            console.print(f"{architecture.name}, {spelling}: {told}, {seconds:.0f} s")
    render(rows, console)
    if arguments.save:
        path = save("coverage", {"rounds": schedule.rounds, "rows": rows})
        plot(rows, RESULTS / "coverage.png")
        console.print(f"saved to {path} and {RESULTS / 'coverage.png'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all architectures, and save")
    parser.add_argument("--only", action="append", choices=_names(True), help="repeatable")
    parser.add_argument(
        "--spelling", action="append", choices=(STOCK, *SPELLINGS), help="repeatable"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true", help="save what was measured")
    arguments = parser.parse_args()
    arguments.spelling = arguments.spelling or [STOCK, "scratch"]
    arguments.save = arguments.save or arguments.full
    return arguments


def _names(full: bool) -> tuple[str, ...]:
    return tuple(a.name for a in ARCHITECTURES) if full else QUICK


def _row(architecture: Architecture, spelling: str, schedule: Schedule) -> dict[str, Any]:
    row = {"architecture": architecture.name, "spelling": spelling, "source": architecture.source}
    try:
        net = build(architecture)
        norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
        image = torch.randn(1, 3, architecture.size, architecture.size)
        bare = without_norms(architecture, net, image)
        if spelling != STOCK:
            swap_norms(net, spelling)
        with tempfile.TemporaryDirectory() as folder:
            model, reference = (
                _exported(module, image, Path(folder, name))
                for module, name in ((net, "model.onnx"), (bare, "reference.onnx"))
            )
            tools = _measured(model, reference, image, _truth(net, image), schedule)
    except (BnfuseError, RuntimeError, ValueError) as error:
        return {**row, "failed": f"{type(error).__name__}: {error}"[:300]}
    return {**row, "norms": norms, "tools": tools}


def _exported(net: nn.Module, image: torch.Tensor, path: Path) -> Path:
    import onnx_ir as ir

    from bnfuse.pipeline import export

    ir.save(export(net, image).model, path)
    return path


def _truth(net: nn.Module, image: torch.Tensor) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        truth: np.ndarray[Any, Any] = copy.deepcopy(net).double()(image.double()).numpy()
    return truth


def _measured(
    model: Path,
    reference: Path,
    image: torch.Tensor,
    truth: np.ndarray[Any, Any],
    schedule: Schedule,
) -> dict[str, Any]:
    """What each tool makes of the model; the first contestant is the net without norms."""
    pixels = image.numpy()
    found: dict[str, dict[str, Any]] = {}
    plain, _ = open_optimised(TOOLS[0], reference, reference.parent)
    timed: dict[str, Callable[[], object]] = {"without norms": partial(plain, pixels)}
    for tool in TOOLS:
        try:
            run, counts = open_optimised(tool, model, model.parent)
            own, plain_counts = open_optimised(tool, reference, reference.parent)
            found[tool.name] = _judged(run, counts, plain_counts, pixels, truth)
        except MissingToolError:
            found[tool.name] = {"missing": True}
            continue
        except Exception as error:
            found[tool.name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
            continue
        timed[tool.name] = partial(run, pixels)
        if tool.optimise is None:
            timed[_own(tool)] = partial(own, pixels)
    own_error = found[TOOLS[0].name]["error"]
    if not np.isfinite(own_error):
        raise ValueError("the unfolded file itself does not compute finite numbers")
    for row in found.values():
        if "error" in row:
            row["wrong"] = not row["error"] <= max(_WRONG, _OWN * own_error)
    # The process's own time: with one thread it is the wall's, less what other programs took.
    samples = interleave(list(timed.values()), schedule, clock=time.process_time)
    seconds = dict(zip(timed, samples, strict=True))
    for tool in TOOLS:
        if tool.name in seconds:
            base = seconds.get(_own(tool), seconds["without norms"])
            found[tool.name].update(_times(seconds[tool.name], base))
    return found


def _judged(
    run: Run,
    counts: dict[str, int],
    plain: dict[str, int],
    pixels: np.ndarray[Any, Any],
    truth: np.ndarray[Any, Any],
) -> dict[str, Any]:
    error = float(np.linalg.norm(run(pixels) - truth) / np.linalg.norm(truth))
    return {
        "left": max(0, _elementwise(counts) - _elementwise(plain)),
        "convolutions": sum(n for op, n in counts.items() if "Conv" in op),
        "error": error,
    }


def _elementwise(counts: dict[str, int]) -> int:
    return sum(count for op, count in counts.items() if op in _ELEMENTWISE)


def _times(samples: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    ratio = paired_ratio(np.asarray(samples), np.asarray(base))
    return {
        "median_s": float(np.median(samples)),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
    }


def _own(tool: Tool) -> str:
    return f"{tool.name}, without norms"


if __name__ == "__main__":
    main()
