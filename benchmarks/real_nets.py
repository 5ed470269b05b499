"""Nets that nobody made for this project, folded and verified: ``python -m benchmarks.real_nets``.

Every architecture that ``transformers`` makes from a small configuration and that has a norm, and
the nets of :mod:`benchmarks.styles`. Each is given to ``bnfuse.fold`` as a module, in a process of
its own with a limit of processor time and memory, and what comes back is what is told: the verdict,
or the exit code and the sentence. Random weights come from one seed, statistics from the inputs.
Architectures that share their code with one that was folded come last.

Exits with 1 if a net failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import re
import resource
import signal
import statistics
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from benchmarks.environment import RESULTS, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

__all__ = ["Outcome", "enlivened", "judged", "markdown", "reason_kind"]

_MEMORY = 8 << 30
_STYLES, _NORMED, _OTHERS = "styles", "transformers, batch norm", "transformers, other norms"


@dataclass(frozen=True)
class Outcome:
    """What became of one net.

    Attributes:
        name: Of the architecture.
        source: Where the architecture comes from.
        code: The exit code that ``bnfuse fold`` would have; None where no net was made.
        sentence: The verdict's reason or the error; empty where it passed.
        norms: How many norms there were, in any spelling, those that normalise left out.
        left: Those that stay, each with its reason.
        found: Whether bnfuse found the inputs itself.
        exporter: Which exporter made the graph.
        notes: Of the export.
        seconds: Of the processor, from the module to the verdict, inputs included.
    """

    name: str
    source: str
    code: int | None
    sentence: str = ""
    norms: int = 0
    left: tuple[str, ...] = ()
    found: bool = True
    exporter: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    verdict: str = field(default="")

    @property
    def passed(self) -> bool:
        """Whether the fold was verified."""
        return self.code == 0


def enlivened(net: nn.Module) -> nn.Module:
    """Give every norm parameters that do something, and statistics until inputs are known."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in net.modules():
            if "norm" not in type(module).__name__.lower():
                continue
            tensors = {**module._parameters, **module._buffers}
            for name, tensor in tensors.items():
                if tensor is None or not tensor.is_floating_point() or tensor.ndim != 1:
                    continue
                if name in ("running_var", "weight", "moving_var"):
                    tensor.uniform_(0.6, 1.6, generator=generator)
                elif name in ("running_mean", "bias"):
                    tensor.normal_(generator=generator).mul_(0.3)
    return net.eval()


def judged(name: str, source: str, make: Callable[[], nn.Module]) -> Outcome:
    """Fold one net as a user would, and say what became of it."""
    import bnfuse
    from benchmarks.configured import see
    from bnfuse.errors import BnfuseError

    try:
        net = enlivened(make())
    except Exception as error:
        return Outcome(name, source, None, f"not built: {_line(error)}")
    start = time.process_time()
    outcome: dict[str, Any]
    try:
        inputs, found = _inputs(net)
        with contextlib.suppress(Exception):
            see(net, dict(zip(inputs.names, inputs.args, strict=True)) if found else inputs)
        folded = bnfuse.fold(net, inputs, providers=["cpu"])
        report = folded.report
        verification = report.verification
        assert verification is not None
        outcome = {
            "code": verification.verdict.exit_code,
            "verdict": verification.verdict.name,
            "sentence": "" if verification.verdict.exit_code == 0 else verification.reason,
            "norms": len(report.norms),
            "left": tuple(site.reason for site in report.norms if not site.folded),
            "found": found,
            "exporter": report.exporter or "",
            "notes": report.notes,
        }
    except BnfuseError as error:
        outcome = {"code": error.exit_code, "sentence": f"{type(error).__name__}: {error.args[0]}"}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
        outcome = {"code": 70, "sentence": f"crash: {_line(error)} at {where}"}
    # Where packages are installed is nobody's business.
    outcome["sentence"] = re.sub(r"/\S*?site-packages/", "", outcome["sentence"])
    return Outcome(name, source, seconds=round(time.process_time() - start, 1), **outcome)


def _inputs(net: Any) -> tuple[Any, bool]:
    """The inputs that bnfuse finds, else those that the library's own names lead to."""
    from bnfuse.errors import InputShapeError
    from bnfuse.examples import example_inputs

    try:
        return example_inputs(net), True
    except InputShapeError:
        if not hasattr(net, "main_input_name"):
            raise
    from benchmarks.shrunk import sample_inputs

    return sample_inputs(net), False


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:300]


def _apart(name: str, source: str, make: Callable[[], nn.Module], limit: int) -> Outcome:
    """The outcome of a process of its own, forked so that it need not import anything again."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        sender.send(judged(name, source, make))

    process = context.Process(target=work)
    process.start()
    sender.close()
    try:
        return receiver.recv()  # type: ignore[no-any-return]
    except EOFError:
        process.join()
        if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            return Outcome(name, source, 124, f"not done after {limit} s", seconds=limit)
        return Outcome(name, source, 134, f"the process died: {process.exitcode}")
    finally:
        process.kill()
        process.join()


def nets(source: str) -> dict[str, Callable[[], nn.Module]]:
    """What makes each net of a source, by name."""
    if source == _STYLES:
        from benchmarks.styles import STYLES

        return dict(STYLES)
    from benchmarks.families import by_rank
    from benchmarks.shrunk import build, has_batch_norm

    wanted = source == _NORMED
    return {kind: _built(build, kind) for kind in by_rank() if has_batch_norm(kind) == wanted}


def _built(build: Callable[[str], nn.Module], kind: str) -> Callable[[], nn.Module]:
    return lambda: build(kind)


def _smallest() -> nn.Module:
    from torch import nn
    from transformers import modeling_utils  # noqa: F401

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def markdown(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """The tallies as tables, as the documentation has them."""
    rows = list(outcomes)
    yield (
        "| source | nets | passed | norms | folded | failed | inputs given | not built "
        "| seconds a net |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        built = [row for row in own if row.code is not None]
        passed = sum(row.passed for row in built)
        norms, left = sum(row.norms for row in built), sum(len(row.left) for row in built)
        yield (
            f"| {source} | {len(built)} | {passed} | {norms:,} | {norms - left:,} "
            f"| {len(built) - passed} | {sum(not row.found for row in built)} "
            f"| {len(own) - len(built)} "
            f"| {statistics.median([row.seconds for row in built] or [0]):.1f} |"
        )
    yield ""
    yield "| what failed | exit code | sentence |"
    yield "|---|---|---|"
    for row in rows:
        if row.code not in (0, None):
            yield f"| {row.name} | {row.code} | {row.sentence[:200].replace('|', '∣')} |"
    yield ""
    yield "| norms left | because |"
    yield "|---|---|"
    for reason, count in Counter(
        reason_kind(text) for row in rows for text in row.left
    ).most_common(12):
        yield f"| {count} | {reason} |"
    yield ""
    yield "| not built | because |"
    yield "|---|---|"
    causes: dict[str, list[str]] = {}
    for row in rows:
        if row.code is None:
            causes.setdefault(_cause(row.sentence), []).append(row.name)
    for reason, names in sorted(causes.items(), key=lambda item: -len(item[1])):
        yield f"| {', '.join(names)} | {reason} |"


def reason_kind(reason: str) -> str:
    """The last of a site's reasons, without the names of its nodes."""
    return re.sub(r"'[^']*'", "…", reason.split("; ")[-1])


def _cause(sentence: str) -> str:
    """Why a net was not built, without names and numbers."""
    text = re.sub(r"^not built: (\w+: )?", "", sentence)
    return re.sub(r"'[^']*'|\b\d+(\.\d+)?\b", "…", text).replace("|", "∣")[:120]


def main() -> int:
    """Run the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_nets", description=__doc__)
    parser.add_argument(
        "--source", action="append", choices=(_STYLES, _NORMED, _OTHERS), help="default: all"
    )
    parser.add_argument("--only", nargs="+", default=(), help="these names only")
    parser.add_argument("--seconds", type=int, default=300, help="of the processor, a net")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th net from the I-th on")
    parser.add_argument("--keep", action="store_true", help="take the nets that the last run did")
    parser.add_argument("--tally", action="store_true", help="print the last run's and do nothing")
    options = parser.parse_args()
    if options.tally:
        print("\n".join(markdown(_saved().values())))
        return 0
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    # What every fold imports and sets up is there in the processes that are forked from here.
    judged("", "", _smallest)
    # A run of some nets or of a part says nothing of the others.
    known = _saved() if options.keep or options.only else {}
    part, parts = (int(number) for number in options.part.split("/"))
    outcomes: dict[tuple[str, str], Outcome] = dict(known)
    for source in options.source or (_STYLES, _NORMED, _OTHERS):
        for index, (name, make) in enumerate(nets(source).items()):
            if index % parts != part or (options.only and name not in options.only):
                continue
            if (source, name) in known and not options.only:
                continue
            row = _apart(name, source, make, options.seconds)
            outcomes[source, name] = row
            print(_told(row), flush=True)
            save("real_nets", {"nets": [asdict(item) for item in outcomes.values()]})
    print("\n".join(markdown(outcomes.values())))
    return int(any(row.code not in (0, None) for row in outcomes.values()))


def _told(row: Outcome) -> str:
    state = "not built" if row.code is None else row.verdict or f"exit {row.code}"
    folded = f"{row.norms - len(row.left)}/{row.norms}" if row.norms else ""
    return f"{row.name:<24} {state:<12} {folded:>7} {row.seconds:6.1f} s  {row.sentence[:300]}"


def _saved() -> dict[tuple[str, str], Outcome]:
    path = RESULTS / "real_nets.json"
    if not path.exists():
        return {}
    rows = [Outcome(**item) for item in json.loads(path.read_text(encoding="utf-8"))["nets"]]
    return {(row.source, row.name): row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
