"""bnfuse: fold batch norm into the neighbouring weights, export to ONNX, prove it.

The public surface is four functions and what they return::

    bnfuse.load(path)                  -> LoadedModel
    bnfuse.export(module_or_path)      -> Exported
    bnfuse.fold(module_path_or_model)  -> Folded
    bnfuse.verify(original, candidate) -> Verification

Everything is imported on first use: ``import bnfuse`` costs nothing, and folding an ONNX file
never imports torch.
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.examples import ExampleInputs
    from bnfuse.exporting import Exported
    from bnfuse.loading import LoadedModel, LoadOptions
    from bnfuse.pipeline import Folded, export, fold, load
    from bnfuse.reporting import Report
    from bnfuse.verdict import Verdict
    from bnfuse.verifying import Verification, verify
    from bnfuse.version import __version__

__all__ = [
    "ExampleInputs",
    "Exported",
    "Folded",
    "LoadOptions",
    "LoadedModel",
    "Report",
    "Verdict",
    "Verification",
    "__version__",
    "export",
    "fold",
    "load",
    "verify",
]

# In a checkout the command line and the models lie beside this folder, and an ordinary install
# holds them inside its own: `python -m bnfuse` run from a checkout must find the installed ones.
__path__ = extend_path(__path__, __name__)

_HOME = {
    "ExampleInputs": "bnfuse.examples",
    "Exported": "bnfuse.exporting",
    "Folded": "bnfuse.pipeline",
    "LoadOptions": "bnfuse.loading",
    "LoadedModel": "bnfuse.loading",
    "Report": "bnfuse.reporting",
    "Verdict": "bnfuse.verdict",
    "Verification": "bnfuse.verifying",
    "__version__": "bnfuse.version",
    "export": "bnfuse.pipeline",
    "fold": "bnfuse.pipeline",
    "load": "bnfuse.pipeline",
    "verify": "bnfuse.verifying",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bnfuse' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
