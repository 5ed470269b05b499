"""Gauges beside today's search: ``python -m prototypes.gauges [PART]…``, all parts by default.

Random graphs are in double precision, and what the gauges make of them is compared with them, value
by value; nets are exported in float32 and run by ONNX Runtime.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))

from prototypes.gauges.compare import Row, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOTAL = "{:28} norms {:6} left: fold {:5} search {:5} gauges {:5}  seconds {:7.2f} {:7.2f}  "


def main() -> None:
    """Print a row for each graph whose fates differ, or for each net, and the totals."""
    parser = argparse.ArgumentParser(prog="python -m prototypes.gauges", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(_PARTS), help=", ".join(_PARTS))
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 700), help="from, to")
    parser.add_argument("--blocks", type=int, nargs="*", default=[50, 100, 300, 1000])
    parser.add_argument("--keep", type=Path, help="a folder for exported nets, read if they exist")
    parser.add_argument("--only", action="append", help="nets by name, repeatable")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for part in arguments.parts:
        rows = list(_PARTS[part](arguments))
        _tell(part, rows)


def _random(arguments: argparse.Namespace) -> Iterator[Row]:
    from graphs import assert_same_function
    from random_graphs import seeded_model

    for seed in range(*arguments.seeds):
        model = seeded_model(seed)
        row, made = compare(f"seed {seed}", model)
        try:
            assert_same_function(SimpleNamespace(before=model, after=made))
        except AssertionError as error:
            print(f"seed {seed}: WRONG: {error}", flush=True)
        if row.worse or row.better:
            _line(row)
        yield row


def _minimal(arguments: argparse.Namespace) -> Iterator[Row]:
    from graphs import Net, assert_same_function

    from prototypes.gauges.minimal import MINIMAL

    del arguments
    for name, make in MINIMAL.items():
        model = make(Net())
        row, made = compare(name, model)
        assert_same_function(SimpleNamespace(before=model, after=made))
        _line(row)
        yield row


def _streams(arguments: argparse.Namespace) -> Iterator[Row]:
    from graphs import assert_same_function
    from preactivation import PreActivation

    def some(rng: np.random.Generator, gamma: np.ndarray) -> np.ndarray:
        return np.where(rng.random(gamma.size) < 0.02, -gamma, gamma)

    cases: dict[str, dict[str, Any]] = {
        "": {},
        " bottleneck": {"bottleneck": True},
        " projections": {"projections": 7},
        " signs": {"gammas": some},
    }
    for blocks in arguments.blocks:
        for what, options in cases.items():
            if what and (blocks > 300 or (blocks > 100 and what != " signs")):
                continue
            shape = {k: v for k, v in options.items() if k != "gammas"}
            maker = PreActivation(channels=16, dtype=np.float64, gammas=options.get("gammas"))
            model = maker.build(blocks, **shape)
            row, made = compare(f"pre-activation {blocks}{what}", model)
            if blocks <= 100:
                assert_same_function(SimpleNamespace(before=model, after=made), sizes=(2,))
            _line(row)
            yield row


def _nets(arguments: argparse.Namespace) -> Iterator[Row]:
    import torch

    from benchmarks.architectures import ARCHITECTURES, build

    for architecture in ARCHITECTURES:
        image = torch.randn(1, 3, architecture.size, architecture.size)
        yield from _net(architecture.name, lambda a=architecture: build(a), image, arguments)


def _styles(arguments: argparse.Namespace) -> Iterator[Row]:
    from benchmarks.styles import STYLES

    for name, make in STYLES.items():
        yield from _net(f"style {name}", make, None, arguments)


def _net(name: str, make: Any, inputs: Any, arguments: argparse.Namespace) -> Iterator[Row]:
    from bnfuse.pipeline import export

    if arguments.only and name not in arguments.only:
        return
    kept = arguments.keep and arguments.keep / f"{name.replace('/', '_')}.onnx"
    try:
        if kept and kept.exists():
            model = onnx.load(kept)
        else:
            import torch

            torch.manual_seed(0)
            model = ir.serde.serialize_model(export(make().eval(), inputs).model)
            if kept:
                onnx.save(model, kept)
        row, made = compare(name, model)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
        return
    _line(row, f"differs {_difference(model, made):.1e}")
    yield row


def _difference(before: onnx.ModelProto, after: onnx.ModelProto) -> float:
    """The largest difference of any output, relative to its largest value, in float32."""
    import onnxruntime as ort
    from onnx import helper

    rng, feeds = np.random.default_rng(0), {}
    for value in before.graph.input:
        tensor = value.type.tensor_type
        shape = [d.dim_value or 2 for d in tensor.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = rng.standard_normal(shape).astype(dtype)
    runs = []
    for model in (before, after):
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        runs.append(session.run(None, feeds))
    worst = 0.0
    for x, y in zip(*runs, strict=True):
        if np.asarray(x).dtype.kind == "f":
            size = np.max(np.abs(x), initial=1e-30)
            worst = max(worst, float(np.max(np.abs(x - y), initial=0.0) / size))
    return worst


def _line(row: Row, told: str = "") -> None:
    text = _TOTAL.format(
        row.name, row.norms, len(row.whole), len(row.search), len(row.gauges), *row.seconds
    )
    print(f"{text}rounds {row.rounds} {told}", flush=True)
    for mark, names in (("-", row.worse), ("+", row.better)):
        for name, why in list(names.items())[:4]:
            print(f"    {mark} {name}: {why[:300]}", flush=True)


def _tell(part: str, rows: list[Row]) -> None:
    worse, better = ([r for r in rows if getattr(r, what)] for what in ("worse", "better"))
    fewer = sum(len(r.gauges) < len(r.search) for r in rows)
    more = sum(len(r.gauges) > len(r.search) for r in rows)
    text = _TOTAL.format(
        f"{part}: {len(rows)} graphs",
        sum(r.norms for r in rows),
        *(sum(len(getattr(r, w)) for r in rows) for w in ("whole", "search", "gauges")),
        *(sum(r.seconds[i] for r in rows) for i in (0, 1)),
    )
    told = f"fewer left in {fewer}, more in {more}; {len(worse)} lose one, {len(better)} gain one"
    print(f"{text}{told}")


_PARTS = {
    "minimal": _minimal,
    "random": _random,
    "streams": _streams,
    "nets": _nets,
    "styles": _styles,
}

if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
