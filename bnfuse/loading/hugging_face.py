"""A Hugging Face folder: config.json names a class of transformers, safetensors its weights."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from bnfuse.errors import LoadError, UnsafeFileError
from bnfuse.wording import few, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["is_hugging_face_folder", "read_hugging_face_folder"]

_CONFIG = "config.json"
_LARGEST = 1 << 24


def is_hugging_face_folder(path: Path) -> bool:
    """Whether a folder has a config.json and weights in safetensors."""
    return (path / _CONFIG).is_file() and any(path.glob("*.safetensors"))


def read_hugging_face_folder(path: Path) -> tuple[nn.Module, tuple[str, ...]]:
    """Build the architecture that the folder names and load its weights, sharded ones too.

    Only classes of transformers itself are made: code in the folder is never run.

    Returns:
        The module and notes.

    Raises:
        UnsafeFileError: The model is defined by code in the folder.
        LoadError: It names no class of transformers, transformers is not installed, or the
            weights do not fit.
    """
    config = _config(path)
    if "auto_map" in config:
        raise UnsafeFileError(
            f"{path} defines its model by code of its own ({few(sorted(config['auto_map']))}), "
            "which is not run.",
            "Load it with transformers yourself and give the module to bnfuse.fold.",
        )
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise LoadError(
            f"{path / _CONFIG} names no architecture of transformers.",
            "Give the safetensors file in it, and --model MODULE:FACTORY for what builds it.",
        )
    module, report = _loaded(path, _class_of(path, names[0]))
    missing, mismatched = sorted(report["missing_keys"]), sorted(report["mismatched_keys"])
    if missing or mismatched:
        raise LoadError(
            f"The weights in {path} do not fit {names[0]}: "
            f"{len(missing)} keys are missing ({few(missing)})."
            if missing
            else f"The weights in {path} do not fit {names[0]}: {few([m[0] for m in mismatched])} "
            "have another shape.",
            "Download the folder again, or correct the architecture in its config.json.",
        )
    unused = sorted(report["unexpected_keys"])
    notes = (f"{names[0]} of transformers",)
    return module, (*notes, f"not used: {few(unused)}") if unused else notes


def _config(path: Path) -> dict[str, Any]:
    file = path / _CONFIG
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError("it is not a JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise LoadError(
            f"{file} cannot be read: {first_line(error)}.", "Download the folder again."
        ) from error
    return found


def _class_of(path: Path, name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise LoadError(
            f"{path} is a model of transformers, which is not installed.",
            "Install it: pip install transformers",
        ) from error
    found = getattr(transformers, name, None) if name.isidentifier() else None
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise LoadError(
            f"{path / _CONFIG} names {name}, which transformers {transformers.__version__} does "
            "not have.",
            "Install the version of transformers that the folder was saved with, or newer.",
        )
    return found


def _loaded(path: Path, kind: Any) -> tuple[nn.Module, dict[str, Any]]:
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module, report = kind.from_pretrained(
                str(path.absolute()),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        raise LoadError(
            f"{path} cannot be loaded by transformers: {type(error).__name__}: "
            f"{first_line(error)}.",
            "Download the folder again, or install the version of transformers that it names.",
        ) from error
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
    return module.eval(), report
