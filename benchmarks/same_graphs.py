"""Does this checkout fold to the same files, with the same reports, as another commit?

    python -m benchmarks.same_graphs --against COMMIT [--seeds N] [--every N] [--nets]

Both fold the same models: random graphs of the tests, also with shared weights, the backend tests
of the onnx package, and, with ``--nets``, exported nets. A fold is the same if the file that is
written and the report with every site's fate, route, reason and constants are, byte for byte, and
errors in their words. What differs is printed; exits with 1 if anything does.
"""

from __future__ import annotations

__all__ = ["differs", "main"]

import argparse
import difflib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
_SHOWN = 30
"""Lines of a difference that are printed."""


def main() -> int:
    """Make the models, fold them twice and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_graphs", description=__doc__)
    parser.add_argument("--against", required=True, help="the other commit")
    parser.add_argument("--seeds", type=int, default=1000, help="random graphs")
    parser.add_argument("--every", type=int, default=4, help="of an operator's cases, every Nth")
    parser.add_argument("--nets", action="store_true", help="exported nets too")
    parser.add_argument("--keep", type=Path, help="a folder for models and folds, used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (arguments.keep or Path(folder)).resolve()
        models = home / "models"
        if not models.exists():
            models.mkdir(parents=True)
            for name, model in _models(arguments.seeds, arguments.every, arguments.nets):
                (models / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        before = home / arguments.against
        if not before.exists():
            _fold_all(_checked_out(arguments.against, Path(folder, "tree")), models, before)
        after = Path(folder, "after")
        seconds = _fold_all(ROOT, models, after)
        names = sorted(path.stem for path in models.iterdir())
        different = [name for name in names if differs(name, before, after)]
        print(f"{len(names)} models folded in {seconds:.0f} s, {len(different)} differently")
    return int(bool(different))


def _models(seeds: int, every: int, nets: bool) -> Iterator[tuple[str, onnx.ModelProto]]:
    sys.path += [str(ROOT / "tests" / part) for part in ("helpers", "conformance", "mutations")]
    import graphs_of_linear_maps  # noqa: F401
    import graphs_of_merges  # noqa: F401
    import graphs_of_neighbours  # noqa: F401
    import graphs_of_normalizers  # noqa: F401
    import graphs_of_passes  # noqa: F401
    from graphs_of_rows import USES, graphs_of
    from mutation_registry import GRAPHS, model_of
    from onnx_cases import all_cases, light_cases
    from random_graphs import seeded_model, with_shared_weights

    for seed in range(seeds):
        model = seeded_model(seed)
        yield f"seed-{seed}", with_shared_weights(model, seed) if seed % 4 == 3 else model
    for shape, build in GRAPHS:
        yield f"rule-{build.__name__}", model_of(shape, build)
    for op_type in USES:
        for number, model in enumerate(graphs_of(op_type)):
            if number % 8 == 0:
                yield f"row-{op_type}-{number}", model
    for cases in (all_cases(every), light_cases()):
        for number, case in enumerate(cases):
            yield f"{case.kind}-{number}-{case.name}".replace("/", "."), case.model
    if nets:
        yield from _nets()


def _nets() -> Iterator[tuple[str, onnx.ModelProto]]:
    import onnx_ir as ir

    from benchmarks.architectures import ARCHITECTURES, QUICK, build
    from benchmarks.styles import STYLES
    from bnfuse import export
    from bnfuse.models.swap import swap_norms

    makers = dict(STYLES)
    for architecture in ARCHITECTURES:
        if architecture.name in QUICK:
            makers[architecture.name] = lambda net=architecture: build(net)
    for name, make in makers.items():
        for spelling in ("stock", "scratch"):
            net = make()
            if spelling != "stock":
                swap_norms(net, spelling)
            try:
                yield f"net-{name}-{spelling}", ir.serde.serialize_model(export(net.eval()).model)
            except Exception as error:
                print(f"{name}, {spelling} is not exported: {type(error).__name__}")


def _checked_out(commit: str, tree: Path) -> Path:
    """The files of a commit, which git need not know of afterwards."""
    tree.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit, "bnfuse"], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
    return tree


def _fold_all(tree: Path, models: Path, into: Path) -> float:
    """Fold every model by the package in ``tree``; the seconds it took."""
    into.mkdir()
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", _WORKER, str(tree), str(models)],
        cwd=into,
        check=True,
        env=environment,
    )
    return time.perf_counter() - start


_WORKER = """
import json, pathlib, sys, warnings
import bnfuse

warnings.filterwarnings("ignore")
tree, models = map(pathlib.Path, sys.argv[1:])
assert pathlib.Path(bnfuse.__file__).is_relative_to(tree), bnfuse.__file__
for path in sorted(models.iterdir()):
    try:
        folded = bnfuse.fold(path, output=path.name, verified=False)
        told = folded.report.to_json(detailed=True)
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    pathlib.Path(f"{path.stem}.json").write_text(json.dumps(told, indent=1, default=str))
"""


def differs(name: str, before: Path, after: Path) -> bool:
    """Whether a model folded otherwise, in its file or in its report; prints how.

    Args:
        name: The model's.
        before: A folder with its fold and its report, as files of that name.
        after: Another.
    """
    files = f"{name}.onnx", f"{name}.json"
    if all(_bytes(before / file) == _bytes(after / file) for file in files):
        return False
    print(f"--- {name}")
    for read in (_told, _listed):
        lines = difflib.unified_diff(read(before, name), read(after, name), lineterm="", n=1)
        print("\n".join(list(lines)[:_SHOWN]))
    return True


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _told(folder: Path, name: str) -> list[str]:
    return _bytes(folder / f"{name}.json").decode().splitlines()


def _listed(folder: Path, name: str) -> list[str]:
    """The nodes of a folded graph, and a digest of each constant."""
    if not (folder / f"{name}.onnx").exists():
        return []
    model = onnx.load(folder / f"{name}.onnx")
    constants = list(model.graph.initializer)
    del model.graph.initializer[:]
    digests = [
        f"{tensor.name}: {hashlib.sha256(tensor.SerializeToString()).hexdigest()[:12]}"
        for tensor in constants
    ]
    return [*onnx.printer.to_text(model).splitlines(), *digests]


if __name__ == "__main__":
    sys.exit(main())
