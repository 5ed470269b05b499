"""The whole way in two minutes: train a net with hand-written norm, fold it, prove it, time it.

    python -m benchmarks.demo [--out demo]

Runs the commands that a user would type, in processes of their own, and stops at the first that
fails. Needs the ``train`` extra.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bnfuse.errors import BnfuseError

_BATCH = "32"


@dataclass(frozen=True)
class Scene:
    """One command of the story.

    Attributes:
        title: What it is there to show.
        arguments: After ``bnfuse``.
    """

    title: str
    arguments: tuple[str, ...]


def main() -> int:
    """Play the demo; the exit code of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, emoji=False)
    for number, scene in enumerate(_scenes(out), start=1):
        code = _play(console, number, scene)
        if code:
            console.print(f"\n[red]The demo stops here: that command left with {code}.[/]")
            return code
    try:
        return _end(console, out)
    except BnfuseError as error:
        console.print(f"[red]error: {error}[/]", soft_wrap=True)
        return error.exit_code


def _scenes(out: Path) -> tuple[Scene, ...]:
    trained, unfolded, folded = (
        str(out / name) for name in ("model.pt", "unfolded.onnx", "model.onnx")
    )
    return (
        Scene(
            "Train a net on real digits; its batch norm is written by hand: "
            "(x - mean) / sqrt(var + eps) * gamma + beta",
            ("train", "scratch-cnn", "-o", trained),
        ),
        Scene("Export it as it is", ("export", trained, "-o", unfolded)),
        Scene(
            "Export it with its norms folded into the convolutions, and prove it",
            ("fold", trained, "-o", folded, "--json", str(out / "fold.json")),
        ),
        Scene("Are the two files the same function?", ("verify", unfolded, folded)),
        Scene(
            "Is it faster?",
            ("bench", unfolded, folded, "--batch", _BATCH, "--json", str(out / "bench.json")),
        ),
    )


def _play(console: Console, number: int, scene: Scene) -> int:
    console.print(f"\n[bold]{number}. {scene.title}[/]", soft_wrap=True)
    command = shlex.join(("bnfuse", *scene.arguments))
    console.print(f"[green]$[/] [bold cyan]{command}[/]\n", soft_wrap=True)
    # What follows is written by another process to the same place.
    sys.stdout.flush()
    # A net for 8×8 images gains nothing from a second thread and, on a busy machine, waits for it.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    arguments = [sys.executable, "-m", "bnfuse", *scene.arguments]
    return subprocess.run(arguments, env=environment, check=False).returncode


def _end(console: Console, out: Path) -> int:
    before, after, images = _right(out / "unfolded.onnx"), _right(out / "model.onnx"), _images()
    norms = _read(out / "fold.json")["norms"]
    ops = _read(out / "fold.json")["ops"]
    contestant = _read(out / "bench.json")["models"][1]
    console.print(
        f"\n[bold]Held-out digits right:[/] {before} of {images} before, {after} of {images} after "
        f"({after / images:.1%})"
    )
    console.print(
        f"[bold]{norms['folded']} of {norms['found']} norms folded, {ops['before']} → "
        f"{ops['after']} nodes, {_speed(contestant)}.[/]",
        soft_wrap=True,
    )
    if before != after or norms["left"]:
        console.print("[red]The fold changed the answers or left a norm behind.[/]")
        return 1
    return 0


def _speed(contestant: dict[str, Any]) -> str:
    ratio = contestant["ratio"]
    if contestant["difference"] == "within noise":
        return "and no measurable difference in speed on this machine"
    interval = f"{1 / ratio['high']:.2f}–{1 / ratio['low']:.2f}"
    return f"{1 / ratio['value']:.2f} times as fast ({interval}) in ONNX Runtime"


def _right(model: Path) -> int:
    """How many held-out digits the file at ``model`` names right."""
    from bnfuse.bench.sessions import open_runner
    from bnfuse.models.digits import load_digits

    digits = load_digits()
    runner = open_runner(model, "cpu", 1)
    name = runner.session.get_inputs()[0].name
    scores = runner.run({name: digits.held_out_images.numpy()})[0]
    return int((scores.argmax(axis=1) == digits.held_out_labels.numpy()).sum())


def _images() -> int:
    from bnfuse.models.digits import load_digits

    return len(load_digits().held_out_labels)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
