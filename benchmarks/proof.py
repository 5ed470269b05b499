"""Every tool over every net, and of each result whether it is proved equal for all inputs.

    python -m benchmarks.proof [--source NAME] [--only NAME]… [--spelling NAME]… [--tool NAME]…
                               [--mutants N] [--sampled] [--keep FOLDER] [--save] [--add]

The nets are those of :mod:`benchmarks.architectures` and those of :mod:`benchmarks.styles`, in
several spellings of norm. All tools are given the same ONNX file. A mutant is bnfuse's own fold
with one stored number moved by 1e-5 (and by 1e-6) of its tensor's largest: none may be proved. What
is not proved is told with the first value that has no match, and with --sampled judged by samples.
Of bnfuse's own folds it is counted how many lines of the checker the check of the certificate runs:
those, of all of them, that a reader has to believe.
"""

from __future__ import annotations

__all__ = ["TOOLS_TO_PROVE", "main"]

import argparse
import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import architectures, tools
from benchmarks.environment import RESULTS, save
from benchmarks.styles import STYLES
from benchmarks.tools import TOOLS, MissingToolError, Tool
from bnfuse import checker
from bnfuse.checker.__main__ import check_files
from bnfuse.checker.check import unbelieving
from bnfuse.checker.graph import Graph
from bnfuse.checker.nodes import NotProved
from bnfuse.models.swap import swap_norms
from bnfuse.proving import prove
from bnfuse.proving.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import nn

_SPELLINGS = ("stock", "scratch", "rsqrt", "channels-last", "flattened")
_SIZES = (1e-5, 1e-6)
_OPSET = 22


def _converted(source: Path, target: Path) -> None:
    onnx.save(onnx.version_converter.convert_version(onnx.load(source), _OPSET), target)


def _basic(source: Path, target: Path) -> None:
    tools.optimised_by_runtime(source, target, "basic")


TOOLS_TO_PROVE = (
    *(tool for tool in reversed(TOOLS) if tool.optimise is not None and tool.name != "unfolded"),
    Tool("onnxruntime basic", _basic),
    Tool(f"opset {_OPSET}", _converted),
)


def main() -> None:
    """Prove, print the tables, and save them."""
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    console = Console(width=160, highlight=False)
    rows: list[dict[str, Any]] = []
    mutants: list[dict[str, Any]] = []
    chosen = [tool for tool in TOOLS_TO_PROVE if not arguments.tool or tool.name in arguments.tool]
    for kind, name, spelling, make in _cases(arguments):
        with _place(arguments.keep, f"{kind} {name} {spelling}") as folder:
            source = Path(folder, "model.onnx")
            try:
                with _quiet():
                    if not source.exists():
                        _exported(make, spelling, source)
            except Exception as error:
                console.print(f"{name}, {spelling}: no export: {str(error)[:120]}")
                continue
            about = {"source": kind, "net": name, "spelling": spelling}
            found = [{**about, **_row(t, source, arguments.sampled)} for t in chosen]
            own = source.with_name("model.bnfuse.onnx")
            if arguments.mutants and own.exists():
                mutants += _mutants(source, own, arguments.mutants)
        rows += found
        for row in found:
            reason = row["reason"] if row["status"] != "PROVED" else f"{row['units']:.2f} units"
            line = f"{name}, {spelling}, {row['tool']}: {row['status']} {reason[:200]}"
            console.print(line, markup=False, soft_wrap=True)
    _render(rows, mutants, console)
    if arguments.save:
        tallies = _tally(mutants)
        if arguments.add:
            known = json.loads((RESULTS / "proof.json").read_text(encoding="utf-8"))
            ours = {_key(row) for row in rows}
            rows = [*(row for row in known["rows"] if _key(row) not in ours), *rows]
            tallies = tallies or known["mutants"]
        console.print(f"saved to {save('proof', {'rows': rows, 'mutants': tallies})}")


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("source", "net", "spelling", "tool"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof", description=__doc__)
    parser.add_argument("--source", choices=("styles", "architectures"))
    parser.add_argument("--only", action="append", help="a net's name; repeatable")
    parser.add_argument("--spelling", action="append", choices=_SPELLINGS, help="repeatable")
    parser.add_argument("--tool", action="append", choices=[t.name for t in TOOLS_TO_PROVE])
    parser.add_argument("--mutants", type=int, default=0, metavar="N", help="a net")
    parser.add_argument("--sampled", action="store_true", help="judge what is not proved")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep and reuse the files")
    parser.add_argument("--save", action="store_true", help="save what was found")
    parser.add_argument("--add", action="store_true", help="and keep what was saved of others")
    return parser.parse_args()


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, Any]]:
    nets = [("styles", name, make) for name, make in STYLES.items()]
    nets += [("architectures", item.name, item) for item in architectures.ARCHITECTURES]
    for kind, name, make in nets:
        chosen = (not arguments.only or name in arguments.only) and arguments.source in (None, kind)
        for spelling in (arguments.spelling or _SPELLINGS) if chosen else ():
            yield kind, name, spelling, make


def _exported(make: Any, spelling: str, path: Path) -> None:
    import onnx_ir as ir

    from bnfuse.pipeline import export

    torch.manual_seed(0)
    net: nn.Module = make().eval() if callable(make) else architectures.build(make)
    if spelling != "stock":
        swap_norms(net, spelling)
    inputs = () if callable(make) else (torch.randn(1, 3, make.size, make.size),)
    ir.save(export(net, *inputs).model, path)


def _row(tool: Tool, source: Path, sampled: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"tool": tool.name}
    target = source.with_name(f"model.{tool.name}.onnx")
    try:
        assert tool.optimise is not None
        with _quiet():
            if not target.exists():
                tool.optimise(source, target)
    except MissingToolError:
        return {**row, "status": "MISSING", "units": 0.0, "reason": "not installed"}
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        return {**row, "status": "CRASHED", "units": 0.0, "reason": reason}
    start, own = time.process_time(), tool.name == "bnfuse"
    found = prove(source, target, certified=own)
    status = "PROVED" if found.proved else "DIFFERENT" if found.difference else "NOT PROVED"
    row |= {"status": status, "units": found.units, "seconds": time.process_time() - start}
    row |= {"value": found.value, "reason": str(found.difference or found.reason)[:300]}
    if own and found.proved:
        certificate = source.with_name("proof.json")
        certificate.write_text(json.dumps(found.certificate), encoding="utf-8")
        row["lines"] = _lines_that_check(certificate, source, target)
    if sampled and not found.proved:
        row["sampled"] = _sampled(source, target)
    return row


def _lines_that_check(proof: Path, original: Path, candidate: Path) -> int:
    """How many lines of the checker run where it follows a certificate."""
    folder, ran = str(Path(str(checker.__file__)).parent), set()

    def line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            ran.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, _: str, __: object) -> Any:
        return line if frame.f_code.co_filename.startswith(folder) else None

    sys.settrace(call)
    try:
        check_files(proof, original, candidate)
    finally:
        sys.settrace(None)
    return len(ran)


@contextlib.contextmanager
def _place(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is not None:
        folder = keep / name.replace("/", " ")
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def _sampled(source: Path, target: Path) -> str:
    from bnfuse.verifying import verify

    try:
        return verify(source, target, providers=["cpu"], proof="none").verdict.value
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def _mutants(source: Path, folded: Path, count: int) -> Iterable[dict[str, Any]]:
    original, model = Graph.read(source), onnx.load(folded)
    rng = np.random.default_rng(0)
    stored = [t for t in model.graph.initializer if t.data_type == 1 and np.prod(t.dims) > 0]
    for _ in range(count if stored else 0):
        tensor = stored[rng.integers(len(stored))]
        kept = onnx.TensorProto()
        kept.CopyFrom(tensor)
        array = onnx.numpy_helper.to_array(tensor)
        place = rng.integers(array.size)
        for size in _SIZES:
            changed = array.copy()
            changed.flat[place] += np.float32(size * np.abs(array).max() * rng.choice([-1, 1]))
            if np.array_equal(changed, array):
                continue
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
            yield {"size": size, "proved": _is_proved(original, model), "tensor": tensor.name}
            tensor.CopyFrom(kept)


def _is_proved(original: Graph, model: onnx.ModelProto) -> bool:
    try:
        with unbelieving():
            Search(original, Graph.of(model)).run()
    except NotProved:
        return False
    return True


def _render(
    rows: Sequence[dict[str, Any]], mutants: Sequence[dict[str, Any]], console: Console
) -> None:
    table = Table("tool", "proved", "different", "not proved", "crashed", "most units")
    for tool in TOOLS_TO_PROVE:
        own = [row for row in rows if row["tool"] == tool.name]
        status = Counter(row["status"] for row in own)
        units = max((row["units"] for row in own), default=0.0)
        names = ("PROVED", "DIFFERENT", "NOT PROVED", "CRASHED")
        table.add_row(tool.name, *(str(status[name]) for name in names), f"{units:.2f}")
    console.print(table)
    lines = sorted(row["lines"] for row in rows if "lines" in row)
    if lines:
        span = f"{lines[0]} to {lines[-1]}, half {lines[len(lines) // 2]} or fewer"
        console.print(f"lines of the checker that a check runs: {span}")
    for item in _tally(mutants):
        console.print(f"mutants by {item['size']:g}: {item['proved']} of {item['of']} proved")


def _tally(mutants: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for size in _SIZES:
        own = [item for item in mutants if item["size"] == size]
        if own:
            proved = [item["tensor"] for item in own if item["proved"]]
            found.append({"size": size, "of": len(own), "proved": len(proved), "which": proved})
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
