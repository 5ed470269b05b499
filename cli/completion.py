"""What the shell completes: files of the kinds that a command reads, providers, nets.

Nothing here may be slow or fail: it runs at each press of the tab key. So the names of the nets are
read from the source of their registry, which imports torch when it is imported.
"""

from __future__ import annotations

__all__ = ["ANY_MODEL", "ONNX_MODEL", "ModelFile", "complete_net", "complete_provider"]

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from bnfuse.errors import UsageError

_ONNX = (".onnx",)
_PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_MODELS = (*_ONNX, *_PICKLED, ".pt2", ".safetensors")


class ModelFile(click.Path):
    """A path that completes to folders and to files of some kinds; an empty one is refused.

    With ``exists`` it must be a file that is there, and the error names the one that was meant.
    """

    def __init__(self, kinds: tuple[str, ...], *, exists: bool = False) -> None:
        super().__init__(path_type=Path)
        self._kinds, self._asked = kinds, exists

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the path."""
        # An empty path would be the current folder.
        if not os.fspath(value):
            name = param.human_readable_name if param else "This"
            raise UsageError(f"{name} is an empty path.", "Name a file.")
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self._asked and not path.is_file():
            from bnfuse.suggestion import meant_file

            raise UsageError(f"There is no file {path}.", meant_file(path) or "Check the path.")
        return path

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete to what lies in the folder that is begun; to any file where no kind does."""
        del ctx, param
        folder, _, begun = incomplete.rpartition("/")
        root = Path(f"{folder}/" if incomplete.startswith("/") or folder else ".")
        try:
            found = sorted(item for item in root.iterdir() if item.name.startswith(begun))
            folders = [item for item in found if item.is_dir()]
        except OSError:
            found, folders = [], []
        prefix = incomplete[: len(incomplete) - len(begun)]
        names = [prefix + item.name for item in found if item.suffix in self._kinds]
        if not names:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in (*names, *(f"{prefix}{f.name}/" for f in folders))]


ANY_MODEL = ModelFile(_MODELS)
ONNX_MODEL = ModelFile(_ONNX)


def complete_provider(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The short names of execution providers."""
    from bnfuse.verifying.runtime.providers import short_names

    return [name for name in ("auto", *short_names()) if name.startswith(incomplete.lower())]


def complete_net(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The nets that ``bnfuse train`` knows."""
    source = files("bnfuse.models").joinpath("registry.py").read_text(encoding="utf-8")
    names = re.findall(r'^    Net\(\n +"([^"]+)"', source, re.MULTILINE)
    return [name for name in names if name.startswith(incomplete)]
