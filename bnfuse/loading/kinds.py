"""The kinds of file that people call ``model.pt``, each with its description."""

from __future__ import annotations

import enum

__all__ = ["FileKind"]


class FileKind(enum.Enum):
    """What a file is, found by looking at its bytes; the value is a short stable name."""

    STATE_DICT = "state_dict", "a state_dict saved by torch.save (weights only, no architecture)"
    CHECKPOINT = "checkpoint", "a checkpoint: a dict saved by torch.save that holds a model"
    MODULE = "module", "a whole nn.Module pickled by torch.save"
    LEGACY_STATE_DICT = (
        "legacy_state_dict",
        "a state_dict in torch's legacy file format (weights only, no architecture)",
    )
    LEGACY_CHECKPOINT = "legacy_checkpoint", "a checkpoint in torch's legacy file format"
    LEGACY_MODULE = "legacy_module", "a whole nn.Module in torch's legacy file format"
    LEGACY_TAR = "legacy_tar", "a torch file in the tar format of before version 0.1.10"
    PICKLE = "pickle", "a plain pickle, not written by torch.save"
    TORCHSCRIPT = "torchscript", "a TorchScript archive (torch.jit.save)"
    EXPORTED_PROGRAM = "exported_program", "a torch.export archive (.pt2)"
    SAFETENSORS = "safetensors", "a safetensors file (weights only, no architecture)"
    HUGGING_FACE = "hugging_face", "a Hugging Face folder (config.json and safetensors)"
    ONNX = "onnx", "an ONNX model"
    TENSOR = "tensor", "a tensor saved by torch.save, not a model"
    DATA = "data", "Python data saved by torch.save, with no model and no weights in it"
    ARCHIVE = "archive", "a zip archive with no model that is known in it"
    TEXT = "text", "a text file, not a model"
    EMPTY = "empty", "an empty file"
    DAMAGED = "damaged", "a model file that is cut off or damaged"
    FOLDER = "folder", "a folder, not a file"
    UNKNOWN = "unknown", "a file of a kind that is not known"

    description: str

    def __new__(cls, value: str, description: str) -> FileKind:
        """Make a member whose value is its short name alone."""
        member = object.__new__(cls)
        member._value_ = value
        member.description = description
        return member

    @property
    def is_model(self) -> bool:
        """Whether the file holds something that could be loaded."""
        return self not in _NOT_MODELS


_NOT_MODELS = frozenset(
    {
        FileKind.TENSOR,
        FileKind.DATA,
        FileKind.ARCHIVE,
        FileKind.TEXT,
        FileKind.EMPTY,
        FileKind.DAMAGED,
        FileKind.FOLDER,
        FileKind.UNKNOWN,
    }
)
