"""ONNX files that other exporters wrote, folded and verified.

    python -m benchmarks.onnx_files FOLDER [--save]

Each ``*.onnx`` file of a folder goes through ``bnfuse.fold`` in a process of its own. Told are the
norms, those that stay and why, the verdict and the proof.
``benchmarks/keras_files.py`` writes such files.

Exits with 1 if a file failed.
"""

from __future__ import annotations

__all__ = ["FileOutcome", "folded_file", "main", "markdown"]

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from benchmarks.environment import save
from benchmarks.real_nets import reason_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file.

    Attributes:
        name: Of the file, without its suffix.
        producer: The exporter, as the file tells it.
        norms: How many there were, those that other tools had folded not among them.
        left: Why each that stays does.
        nodes: Before and after.
        verdict: Of the verification, or the error.
        proof: The status of the proof, and the rounding units that it reached.
    """

    name: str
    producer: str
    norms: int = 0
    left: tuple[str, ...] = ()
    nodes: tuple[int, int] = (0, 0)
    verdict: str = ""
    proof: str = ""


def folded_file(path: Path) -> FileOutcome:
    """Fold one file as a user would."""
    import bnfuse
    from bnfuse.errors import BnfuseError

    model = onnx.load(path, load_external_data=False)
    producer = f"{model.producer_name} {model.producer_version.split(' ')[0]}".strip()
    try:
        report = bnfuse.fold(path, providers=["cpu"]).report
    except BnfuseError as error:
        return FileOutcome(path.stem, producer, verdict=f"exit {error.exit_code}: {error.args[0]}")
    verification = report.verification
    assert verification is not None
    proof = verification.proof
    units = f" ({proof.units:.1f} units)" if proof is not None and proof.proved else ""
    return FileOutcome(
        path.stem,
        producer,
        len(report.norms),
        tuple(reason_kind(site.reason) for site in report.norms if not site.folded),
        (report.ops.before, report.ops.after),
        verification.verdict.name,
        f"{proof.status}{units}" if proof is not None else "",
    )


def markdown(outcomes: Iterable[FileOutcome]) -> Iterator[str]:
    """The outcomes as a table."""
    yield "| file | exporter | norms | folded | left because | nodes | verdict | proof |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in outcomes:
        reasons = "; ".join(f"{n}: {why}" for why, n in Counter(row.left).most_common())
        yield (
            f"| {row.name} | {row.producer} | {row.norms} | {row.norms - len(row.left)} "
            f"| {reasons} | {row.nodes[0]} → {row.nodes[1]} | {row.verdict} | {row.proof} |"
        )


def main() -> int:
    """Run the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.onnx_files", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--save", action="store_true", help="save what was found")
    options = parser.parse_args()
    outcomes = []
    for path in sorted(options.folder.glob("*.onnx")):
        with ProcessPoolExecutor(1) as alone:
            outcomes.append(alone.submit(folded_file, path).result())
        print(f"{outcomes[-1].name}: {outcomes[-1].verdict} {outcomes[-1].proof}", flush=True)
    print("\n".join(markdown(outcomes)))
    if options.save:
        save("onnx_files", {"files": [asdict(row) for row in outcomes]})
    return int(any(row.verdict != "PASS" for row in outcomes))


if __name__ == "__main__":
    sys.exit(main())
