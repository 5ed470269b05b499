"""How often a wrong model is caught and a right one passed: ``python benchmarks/verification.py``.

Prints, for every net, how many seeded breakages were caught and how many right candidates (folds
in float64 and float32, the output of onnxsim, onnxslim and ONNX Runtime) were passed, and the
closest call of each kind. ``--modules`` adds trained-like PyTorch modules against their exports.
Exits with 1 if any wrong one passed or any right one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "verify"))

from verification_candidates import RIGHT
from verification_mutations import breakages
from verification_nets import NETS

from bnfuse.verifying import Verdict, Verification, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN_NETS = tuple(name for name in NETS if name != "deep")


@dataclass
class Tally:
    """How one kind of candidate fared.

    Attributes:
        total: Candidates judged.
        expected: Those with the verdict that they deserve.
        closest: The usage of its allowance that came closest to the wrong verdict.
        wrong: Descriptions of the others.
    """

    total: int = 0
    expected: int = 0
    closest: float | None = None
    wrong: list[str] = field(default_factory=list)

    def add(self, label: str, result: Verification, verdict: Verdict) -> None:
        """Count one result."""
        self.total += 1
        if result.verdict is verdict:
            self.expected += 1
        else:
            self.wrong.append(f"{label}: {result.verdict.value}: {result.reason}")
        used = max((o.usage for row in result.rows for o in row.outputs if o.measures), default=0.0)
        if used and verdict is Verdict.PASS:
            self.closest = max(used, self.closest or 0.0)
        elif used > 1.0:
            self.closest = min(used, self.closest or used)


def breakage_tallies(seeds: range) -> Iterator[tuple[str, Tally]]:
    """Yield, for every net, how many breakages were caught."""
    for net in BROKEN_NETS:
        tally = Tally()
        for seed in seeds:
            original = NETS[net](seed)
            for name, _, wrong in breakages(net, seed):
                result = verify(original, wrong, providers=["cpu"], seed=seed)
                tally.add(f"{net} {seed} {name}", result, Verdict.FAIL)
        yield net, tally


def right_tallies(seeds: range) -> Iterator[tuple[str, Tally]]:
    """Yield, for every net and origin, how many right candidates passed."""
    with tempfile.TemporaryDirectory() as folder:
        for net, build in NETS.items():
            tallies: dict[str, Tally] = defaultdict(Tally)
            for seed in seeds:
                original = build(seed)
                for how, make in RIGHT.items():
                    try:
                        candidate = make(net, seed, Path(folder))
                    except ImportError:
                        continue
                    result = verify(original, candidate, providers=["cpu"], seed=seed)
                    tallies[how].add(f"{net} {seed} {how}", result, Verdict.PASS)
            for how, tally in tallies.items():
                yield f"{net}, {how}", tally


def module_tallies(seeds: range) -> Iterator[tuple[str, Tally]]:
    """Yield, for modules with calibrated statistics, how many of their exports passed."""
    import torch
    from torch import nn

    def conv() -> tuple[nn.Module, tuple[int, ...]]:
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 32, 1), (32, 64, 1), (64, 64, 2)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), (
            3,
            16,
            16,
        )

    def deep() -> tuple[nn.Module, tuple[int, ...]]:
        layers: list[nn.Module] = []
        for _ in range(40):
            layers += [nn.Linear(128, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
        return nn.Sequential(*layers), (128,)

    for name, build in (("conv module", conv), ("deep module, 40 layers", deep)):
        tally = Tally()
        for seed in seeds:
            torch.manual_seed(seed)
            module, shape = build()
            for part in module.modules():
                if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    part.momentum = None
                    nn.init.normal_(part.weight, 1.0, 0.2)
                    nn.init.normal_(part.bias, 0.0, 0.3)
            with torch.no_grad():
                for _ in range(3):
                    module(torch.randn(64, *shape))
            result = verify(module.eval(), _exported(module, shape), providers=["cpu"], seed=seed)
            tally.add(f"{name} {seed}", result, Verdict.PASS)
        yield name, tally


def _exported(module: Any, shape: tuple[int, ...]) -> Any:
    import onnx
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(2, *shape),),
            buffer,
            input_names=["x"],
            dynamic_axes={"x": {0: "N"}},
            dynamo=False,
            opset_version=17,
        )
    return onnx.load_from_string(buffer.getvalue())


def main() -> int:
    """Print the rates and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="of every net (default 5)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--modules", type=int, default=0, help="seeds of the PyTorch modules")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    start = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    modules = range(options.first, options.first + options.modules)
    found: dict[str, dict[str, Tally]] = {}
    parts = (
        ("wrong models caught", breakage_tallies(seeds)),
        ("right models passed", right_tallies(seeds)),
        ("exports of modules passed", module_tallies(modules)),
    )
    for title, tallies in parts:
        if title.startswith("exports") and not options.modules:
            continue
        print(title)
        found[title] = {}
        for name, tally in tallies:
            found[title][name] = tally
            close = "" if tally.closest is None else f"  closest call {tally.closest:.2f}"
            print(f"  {name:<32}{tally.expected:>5} of {tally.total:<5}{close}", flush=True)
            for line in tally.wrong:
                print(f"    {line}")
        total = sum(tally.total for tally in found[title].values())
        good = sum(tally.expected for tally in found[title].values())
        print(f"  {'together':<32}{good:>5} of {total:<5}  {good / max(total, 1):.2%}")
    print(f"{time.perf_counter() - start:.0f} s; a usage of 1 is the bound")
    if options.json:
        data = {
            title: {name: asdict(tally) for name, tally in rows.items()}
            for title, rows in found.items()
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    wrong = any(tally.wrong for rows in found.values() for tally in rows.values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
