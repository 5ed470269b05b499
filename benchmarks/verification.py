"""How often a wrong model is caught and a right one passed: ``python -m benchmarks.verification``.

Prints, for every net, how many seeded breakages were caught and how many right candidates (folds
in float64 and float32, the output of onnxsim, onnxslim and ONNX Runtime, PyTorch modules against
their exports) were passed, the closest call of each kind, and both rates. Beside the small nets
that the verifier was built on stand the nets of :mod:`benchmarks.styles` and small ones of
``transformers`` (:mod:`benchmarks.configured`), of which constants are broken, and graphs with a
breakage that few inputs show (:mod:`benchmarks.breakages`).

A breakage that passes is measured: if its effect, in float64, is in every channel of every output
below twice the original's own rounding error, no comparison of outputs that allows that much can
tell it from rounding. It is counted apart, neither caught nor missed. Any other one is missed.

Samples alone are asked: no proof is looked for, which would pass right models without them.

Exits with 1 if one was missed or a right model failed.
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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "verify"))

from verification_candidates import RIGHT
from verification_mutations import breakages
from verification_nets import NETS

from benchmarks.breakages import HIDING, STYLED, constant_breakages, styled
from benchmarks.configured import CONFIGURED
from benchmarks.environment import RESULTS, save
from benchmarks.tally import Tally, markdown, visibility
from bnfuse.verifying import Verdict, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN_NETS = tuple(name for name in NETS if name != "deep")


def breakage_tallies(seeds: range) -> Iterator[tuple[str, Tally]]:
    """Yield, for every net, how many breakages were caught."""
    for net in BROKEN_NETS:
        tally = Tally()
        for seed in seeds:
            original = NETS[net](seed)
            for name, right, wrong in breakages(net, seed):
                result = verify(original, wrong, providers=["cpu"], seed=seed, proof="none")
                label = f"{net} {seed} {name}"
                if result.verdict is Verdict.PASS:
                    effect = visibility(original, right, wrong, seed)
                    if effect < result.thresholds.factor:
                        tally.hidden.append(f"{label}: {effect:.2f} times the original's rounding")
                        continue
                tally.add(label, result, Verdict.FAIL)
        yield net, tally


def styled_tallies(seed: int, names: tuple[str, ...]) -> Iterator[tuple[str, str, Tally]]:
    """Yield, for every net of benchmarks.styles, how its folds and their breakages fared."""
    for name in names:
        module, original, right = styled(name, seed)
        passed, caught = Tally(), Tally()
        for label, source in (("export", original), ("module", module)):
            result = verify(source, right, providers=["cpu"], seed=seed, proof="none")
            passed.add(f"{name} {seed}, its {label}", result, Verdict.PASS)
        for label, wrong in constant_breakages(right, seed):
            result = verify(original, wrong, providers=["cpu"], seed=seed, proof="none")
            if result.verdict is not Verdict.FAIL:
                effect = visibility(original, right, wrong, seed)
                if not effect:
                    continue
                if effect < result.thresholds.factor:
                    told = f"{effect:.2f} times the original's rounding"
                    caught.hidden.append(f"{name} {seed} {label}: {told}")
                    continue
                label += f" ({effect:.1f} times the original's rounding)"
            caught.add(f"{name} {seed} {label}", result, Verdict.FAIL)
        yield name, "right", passed
        yield name, "wrong", caught


def hiding_tallies(seeds: range) -> Iterator[tuple[str, Tally]]:
    """Yield, for every breakage that hides, how often it was caught or named in a warning."""
    for name, hiding in HIDING.items():
        tally = Tally()
        for seed in seeds:
            original, wrong = hiding.make(seed)
            label = f"{name} {seed}"
            same = verify(original, original, providers=["cpu"], seed=seed, proof="none")
            if same.verdict is not Verdict.PASS:
                tally.wrong.append(f"{label}: the right model: {same.verdict.value}")
            result = verify(original, wrong, providers=["cpu"], seed=seed, proof="none")
            tally.add(label, result, Verdict.FAIL)
            if hiding.named and any(hiding.named in text for text in result.warnings):
                tally.named += result.verdict is not Verdict.FAIL
        yield name, tally


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
                    result = verify(original, candidate, providers=["cpu"], seed=seed, proof="none")
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
            result = verify(
                module.eval(), _exported(module, shape), providers=["cpu"], seed=seed, proof="none"
            )
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="of every small net (default 2)")
    parser.add_argument("--first", type=int, default=8000, help="the first seed (default 8000)")
    parser.add_argument(
        "--modules", type=int, default=10, help="seeds of the PyTorch modules (default 10)"
    )
    parser.add_argument(
        "--nets", type=int, help="of benchmarks.styles, the first so many (default all)"
    )
    parser.add_argument(
        "--transformers", type=int, help="of benchmarks.configured, the first so many (default all)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the result")
    options = parser.parse_args()
    start = time.process_time()
    seeds = range(options.first, options.first + options.seeds)
    modules = range(options.first, options.first + options.modules)
    names = (*STYLED[: options.nets], *[*CONFIGURED][: options.transformers])
    both = [*styled_tallies(options.first, names)]
    parts = (
        ("wrong models caught", breakage_tallies(seeds)),
        ("wrong constants of other nets caught", _part(both, "wrong")),
        ("what hides caught", hiding_tallies(seeds)),
        ("right models passed", right_tallies(seeds)),
        ("right folds of other nets passed", _part(both, "right")),
        ("exports of modules passed", module_tallies(modules)),
    )
    found = {title: _told(title, tallies) for title, tallies in parts}
    rates = {title: _rate(rows) for title, rows in found.items()}
    hidden = [line for rows in found.values() for tally in rows.values() for line in tally.hidden]
    print("\nrates")
    for title, (good, total) in rates.items():
        print(f"  {title:<40}{good:>5} of {total:<5}  {good / max(total, 1):.2%}")
    print(f"  below the original's own rounding, counted apart: {len(hidden)}")
    for line in hidden:
        print(f"    {line}")
    seconds = round(time.process_time() - start)
    print(f"{seconds} s of processor time; a usage of 1 is the bound")
    path = save(
        "verification",
        {
            "first_seed": options.first,
            "seeds": options.seeds,
            "module_seeds": options.modules,
            "other_nets": len(both) // 2,
            "transformers": sum(name in CONFIGURED for name in names),
            "processor_seconds": seconds,
            "rates": {
                title: {"as deserved": good, "judged": total}
                for title, (good, total) in rates.items()
            },
            "below_rounding": hidden,
            "parts": {
                title: {name: asdict(tally) for name, tally in rows.items()}
                for title, rows in found.items()
            },
        },
        options.out,
    )
    print(markdown(json.loads(path.read_text(encoding="utf-8"))))
    print(f"written to {path.name}")
    return 1 if any(good < total for good, total in rates.values()) else 0


def _told(title: str, tallies: Iterator[tuple[str, Tally]]) -> dict[str, Tally]:
    """Print one line for each tally as it comes, and return them all."""
    print(title)
    rows = {}
    for name, tally in tallies:
        rows[name] = tally
        close = "" if tally.closest is None else f"  closest call {tally.closest:.2f}"
        print(f"  {name:<48}{tally.expected:>5} of {tally.total:<5}{close}", flush=True)
        for line in tally.wrong:
            print(f"    {line}")
    return rows


def _part(both: list[tuple[str, str, Tally]], kind: str) -> Iterator[tuple[str, Tally]]:
    return ((name, tally) for name, found, tally in both if found == kind)


def _rate(rows: dict[str, Tally]) -> tuple[int, int]:
    return (
        sum(tally.expected for tally in rows.values()),
        sum(tally.total for tally in rows.values()),
    )


if __name__ == "__main__":
    sys.exit(main())
