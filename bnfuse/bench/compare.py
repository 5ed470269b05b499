"""Several ONNX files, one process, one set of inputs, interleaved."""

from __future__ import annotations

__all__ = ["compare"]

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bnfuse.bench.feeds import check_same_inputs, draw_feeds
from bnfuse.bench.memory import Memory, measure_memory
from bnfuse.bench.result import Comparison, Contestant
from bnfuse.bench.sessions import full_name, open_runner
from bnfuse.bench.statistics import LEAST_ROUNDS, Ratio, paired_ratio, spread
from bnfuse.bench.timing import Schedule, interleave
from bnfuse.errors import UsageError
from bnfuse.verifying.runtime.onnx_models import onnx_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bnfuse.bench.sessions import Feeds, Runner
    from bnfuse.verifying.runtime.onnx_models import OnnxSource

_BUSY = 0.1


def compare(
    models: Sequence[str | Path],
    *,
    provider: str = "cpu",
    threads: int = 1,
    batch: int | None = None,
    input_shapes: Sequence[str] = (),
    rounds: int = 50,
    seed: int = 0,
    memory: bool = True,
    after_round: Callable[[int], object] = lambda _: None,
) -> Comparison:
    """Time ONNX files against the first of them.

    Each round visits every model, in rotated order, so that whatever else the machine does falls on
    all of them. The first model runs in two sessions: how far those two differ is noise.

    Args:
        models: The files.
        provider: ``cpu``, ``cuda`` or any name that ONNX Runtime knows. Inputs and outputs lie in
            the host's memory, so another device's copies are part of the time.
        threads: Threads inside an op.
        batch: Size of a dynamic batch dimension; 1 by default.
        input_shapes: Sizes of other dynamic dimensions, each as in ``"name=1,3,64,64"``.
        rounds: Visits to each model that count.
        seed: Of the inputs' random numbers.
        memory: Whether to measure each model's peak memory, in a process of its own.
        after_round: Hears the number of each round that is over.

    Raises:
        LoadError: A file is missing or is no model.
        ProviderError: The provider is not there.
        UsageError: The models' inputs differ, or no inputs are known that they accept.
    """
    sources = _sources(models)
    _check_numbers(rounds, threads, batch)
    full = full_name(provider)
    paths = [Path(model) for model in models]
    runners = [open_runner(path, full, threads) for path in paths]
    feeds = draw_feeds(runners[0], sources[0], batch=batch, input_shapes=input_shapes, seed=seed)
    if len(paths) > 1:
        runners.append(open_runner(paths[0], full, threads))
    seconds, notes = _timed(runners, feeds, Schedule(rounds=rounds), full, threads, after_round)
    measure = partial(
        measure_memory,
        provider=provider,
        threads=threads,
        batch=batch,
        input_shapes=input_shapes,
        seed=seed,
    )
    contestants = tuple(
        _contestant(path, source, samples, seconds[0], measure(path) if memory else None)
        for path, source, samples in zip(paths, sources, seconds, strict=False)
    )
    return Comparison(
        contestants=contestants,
        control=paired_ratio(seconds[-1], seconds[0]) if len(paths) > 1 else None,
        provider=provider,
        threads=threads,
        rounds=rounds,
        inputs={name: tuple(value.shape) for name, value in feeds.items()},
        seed=seed,
        runtime=_runtime(),
        notes=notes,
    )


def _sources(models: Sequence[str | Path]) -> list[OnnxSource]:
    if not models:
        raise UsageError("No model was given.", "Name at least one ONNX file.")
    sources = [onnx_source(Path(model), str(model)) for model in models]
    check_same_inputs(sources)
    return sources


def _check_numbers(rounds: int, threads: int, batch: int | None) -> None:
    if rounds < LEAST_ROUNDS:
        raise UsageError(
            f"{rounds} rounds are too few for a confidence interval.",
            f"Take {LEAST_ROUNDS} or more.",
        )
    for name, number in (("threads", threads), ("batch", batch)):
        if number is not None and number < 1:
            raise UsageError(f"{name} is {number}.", "Take 1 or more.")


def _timed(
    runners: Sequence[Runner],
    feeds: Feeds,
    schedule: Schedule,
    provider: str,
    threads: int,
    after_round: Callable[[int], object],
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    for runner in runners:
        runner.run(feeds)
    calls = [partial(runner.session.run, None, feeds) for runner in runners]
    wall, own = time.perf_counter(), time.process_time()
    seconds = interleave(calls, schedule, after_round=after_round)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    notes = []
    if provider == "CPUExecutionProvider" and threads == 1 and own < (1 - _BUSY) * wall:
        notes.append(
            f"the machine was busy: {1 - own / wall:.0%} of the time this process had to wait"
        )
    return seconds, tuple(notes)


def _contestant(
    path: Path,
    source: OnnxSource,
    samples: NDArray[np.float64],
    first: NDArray[np.float64],
    memory: Memory | None,
) -> Contestant:
    ratio = Ratio(1.0, 1.0, 1.0) if samples is first else paired_ratio(samples, first)
    return Contestant(path, _bytes(path, source), spread(samples), ratio, memory)


def _bytes(path: Path, source: OnnxSource) -> int:
    """The file's size and that of the files that hold its external data."""
    locations = {
        entry.value
        for tensor in source.graph.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sum(file.stat().st_size for file in (path, *(path.parent / name for name in locations)))


def _runtime() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
