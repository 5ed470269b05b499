"""What a proof costs as models grow: in nodes, and in bytes that lie outside.

    python -m benchmarks.proof_cost [--nodes N]… [--layers N] [--save]

Of nodes, function calls are counted, which are the same on every machine: they should grow as the
nodes do. ``--layers`` makes a model with that many weights of 64 MiB as external data (64 layers
are 4 GB), folds it, and proves and checks the fold in processes of their own.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import cProfile
import pstats
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks import huge
from benchmarks.environment import save
from benchmarks.process import measure
from bnfuse.proving import prove

_NODES = (1_000, 2_000, 5_000, 10_000)
_WIDTH = 8


def main() -> None:
    """Count, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof_cost", description=__doc__)
    parser.add_argument("--nodes", type=int, action="append", help="of the original; repeatable")
    parser.add_argument("--layers", type=int, default=0, help="of 64 MiB each")
    parser.add_argument("--save", action="store_true", help="save what was found")
    arguments = parser.parse_args()
    rows = [_counted(nodes) for nodes in arguments.nodes or _NODES]
    for row in rows:
        ratio = row["calls"] / rows[0]["calls"] * rows[0]["nodes"] / row["nodes"]
        row["calls per node, to the smallest's"] = ratio
        print(f"{row['nodes']:,} nodes: {row['calls']:,} calls, {ratio:.2f} times as many a node")
    streamed = _streamed(arguments.layers) if arguments.layers else {}
    for command, cost in streamed.items():
        print(f"{command}: {cost}")
    if arguments.save:
        print(f"saved to {save('proof_cost', {'nodes': rows, 'external data': streamed})}")


def _counted(nodes: int) -> dict[str, Any]:
    """Prove a chain of Gemm, Mul, Add and Relu against its fold, and check that."""
    rng = np.random.default_rng(0)
    models = []
    layers = [
        {
            "w": rng.standard_normal((_WIDTH, _WIDTH)) / np.sqrt(_WIDTH),
            "s": rng.uniform(0.5, 1.5, _WIDTH),
            "t": rng.standard_normal(_WIDTH),
        }
        for _ in range(nodes // 4)
    ]
    for folded in (False, True):
        made: list[onnx.NodeProto] = []
        tensors: dict[str, Any] = {}
        x = "x"
        for number, layer in enumerate(layers):
            w, s, t, m, n, y = (f"{name}{number}" for name in "wstmny")
            if folded:
                tensors |= {w: layer["w"] * layer["s"], t: layer["t"]}
                made.append(helper.make_node("Gemm", [x, w, t], [n]))
            else:
                tensors |= {w: layer["w"], s: layer["s"], t: layer["t"]}
                made += [
                    helper.make_node("Gemm", [x, w], [f"g{number}"]),
                    helper.make_node("Mul", [f"g{number}", s], [m]),
                    helper.make_node("Add", [m, t], [n]),
                ]
            made.append(helper.make_node("Relu", [n], [y]))
            x = y
        info = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", _WIDTH])
            for name in ("x", x)
        ]
        stored = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in tensors.items()]
        graph = helper.make_graph(made, "chain", info[:1], info[1:], stored)
        imports = [helper.make_opsetid("", 20)]
        models.append(helper.make_model(graph, opset_imports=imports, ir_version=10))
    with cProfile.Profile() as profile:
        found = prove(*models)
    assert found.proved, found.reason
    count = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return {"nodes": len(models[0].graph.node), "calls": count, "units": found.units}


def _streamed(layers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "huge.onnx"), Path(folder, "folded.onnx")
        huge._write(source, layers)
        files = [str(source), str(target)]
        python, proof = [sys.executable, "-m"], str(Path(folder, "proof.json"))
        measure([*python, "bnfuse", "fold", "--no-verify", "-q", files[0], "-o", files[1]])
        size = sum(path.stat().st_size for path in Path(folder).glob("huge.onnx*"))
        proved = measure([*python, "bnfuse", "prove", "-q", *files, "-o", proof])
        checked = measure([*python, "bnfuse.checker", proof, *files])
    return {"bytes": size, "prove": asdict(proved), "check": asdict(checked)}


if __name__ == "__main__":
    main()
