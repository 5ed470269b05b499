"""A folder that reproduces a failure: both models, the inputs, the result, the command."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from bnfuse.errors import OutputError
from bnfuse.verifying.runtime.sessions import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.verifying.original.runs import Original
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.verdicts.result import Verification, Worst

__all__ = ["smallest", "worst_of", "write_repro"]

Array = np.ndarray[Any, Any]


def worst_of(result: Verification) -> Worst | None:
    """Return the worst element of the first output that failed."""
    for row in result.rows:
        for output in row.outputs:
            if output.verdict is row.verdict and row.verdict.exit_code and output.worst:
                return output.worst
    return None


def smallest(
    feeds: Mapping[str, Array], worst: Worst | None, original: Original
) -> dict[str, Array]:
    """Return the row of the inputs that holds the worst element, if the original runs it alone."""
    rows = {value.shape[0] if value.ndim else 0 for value in feeds.values()}
    if worst is None or len(rows) != 1 or not worst.index or rows == {1}:
        return dict(feeds)
    at = worst.index[0]
    one = {name: value[at : at + 1] for name, value in feeds.items()}
    try:
        original.run(one)
    except RunError:
        return dict(feeds)
    return one


def write_repro(
    folder: str | Path,
    original: OnnxSource | Path | None,
    export: OnnxSource | None,
    candidate: OnnxSource,
    feeds: Mapping[str, Array],
    result: Verification,
    options: Mapping[str, Any],
) -> Path:
    """Write the folder; files of an earlier one are replaced.

    Args:
        folder: Made if it is not there.
        original: A model, or the file or folder of a module; None for a module in memory, which
            cannot be copied without its code.
        export: An unfolded export of a module, if there is one.
        candidate: The model that failed.
        feeds: The inputs that show it.
        result: What was found.
        options: How the module's file was loaded.

    Returns:
        The folder.

    Raises:
        OutputError: The folder cannot be written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _copy(candidate, target, "candidate")
        if export is not None:
            _copy(export, target, "unfolded")
        if isinstance(original, Path) and original.is_dir():
            first = "original"
            _copy_files(original, target / first)
        elif isinstance(original, Path):
            first = f"original{original.suffix}"
            shutil.copyfile(original, target / first)
        elif original is not None:
            first = "original.onnx"
            _copy(original, target, "original")
        else:
            first = "unfolded.onnx" if export is not None else "ORIGINAL"
        np.savez(target / "inputs.npz", **dict(feeds))  # type: ignore[arg-type]
        text = json.dumps(result.to_json(), indent=1)
        (target / "result.json").write_text(text, encoding="utf-8")
        (target / "command.txt").write_text(
            f"{result.reason}\n\n"
            f"bnfuse verify {shlex.quote(first)} candidate.onnx --inputs inputs.npz"
            f"{_flags(options) if isinstance(original, Path) else ''}\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise OutputError(
            f"The reproduction cannot be written to {target}: {error}.", "Give another folder."
        ) from error
    return target


def _copy_files(source: Path, target: Path) -> None:
    """Copy what a Hugging Face folder is read from."""
    if target.is_dir():
        shutil.rmtree(target)
    target.mkdir()
    for file in source.iterdir():
        if file.suffix in (".json", ".safetensors"):
            shutil.copyfile(file, target / file.name)


def _flags(options: Mapping[str, Any]) -> str:
    """Return the options of a load as the command line takes them."""
    words = []
    for name, value in options.items():
        # An option that is given several times is called after one of them.
        single = name.removesuffix("s") if isinstance(value, (list, tuple)) else name
        flag = f"--{single.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, (list, tuple)):
            words += [f"{flag} {shlex.quote(str(item))}" for item in value]
        elif value:
            words.append(f"{flag} {shlex.quote(str(value))}")
    return "".join(f" {word}" for word in words)


def _copy(source: OnnxSource, folder: Path, name: str) -> None:
    path = folder / f"{name}.onnx"
    proto = source.proto()
    if proto.ByteSize() >= 2**31 - 1:
        onnx.save_model(proto, path, save_as_external_data=True, location=f"{name}.data")
    elif source.path is not None and not _external(source.graph):
        shutil.copyfile(source.path, path)
    else:
        onnx.save(proto, path)


def _external(proto: onnx.ModelProto) -> bool:
    return any(onnx.external_data_helper.uses_external_data(t) for t in proto.graph.initializer)
