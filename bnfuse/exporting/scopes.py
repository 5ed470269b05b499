"""Module paths from the tracing exporter, in the form in which torch.export's graphs have them.

The tracing exporter names its scopes after the last part of a module's path and numbers repeated
visits, so that ``conv1_1`` may be another module or the second call of ``conv1``. While it works
the scopes bear full paths and a mark at their end, which makes them exact.
"""

from __future__ import annotations

__all__ = ["SCOPES", "TYPES", "exact_scopes", "scopes_to_metadata"]

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir
    from torch import nn

SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata key: the text of a list of the enclosing modules' full paths and the operator."""

TYPES = "pkg.torch.onnx.class_hierarchy"
"""Metadata key: the text of a list of the types of those modules and the operator."""

_MARK = "\N{SECTION SIGN}"
_SCOPE = re.compile(rf"/(.*?){_MARK}(?:_\d+)?(?=/)")


@contextmanager
def exact_scopes(module: nn.Module) -> Iterator[None]:
    """Make the tracing exporter write full, marked module paths into node names.

    Also keep its C++ side, which writes past ``sys.stdout``, from dumping the graph on failure.
    """
    logged = torch._C._jit_is_onnx_log_enabled()

    def hook(_module: nn.Module, _args: Any) -> None:
        # The exporter itself switched this on just before.
        torch._C._jit_set_onnx_log_enabled(False)
        scopes = getattr(torch.jit._trace, "_trace_module_map", None)
        create = getattr(torch._C, "_jit_onnx_create_full_scope_name", None)
        if not scopes or create is None:
            return
        for path, part in module.named_modules():
            if path and part in scopes:
                scopes[part] = create(torch.typename(type(part)), path + _MARK)

    if isinstance(module, torch.jit.ScriptModule):
        yield
        return
    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()
        torch._C._jit_set_onnx_log_enabled(logged)


def scopes_to_metadata(model: ir.Model, module: nn.Module) -> None:
    """Move the marked paths from the nodes' names into their metadata; shorten the names.

    A node of module ``layer1.0.conv1`` gets the name ``/layer1.0.conv1/Conv`` and the scopes
    ``['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'Conv']``.
    """
    types = {path: torch.typename(type(part)) for path, part in module.named_modules()}
    for node in model.graph.all_nodes():
        paths = _SCOPE.findall(node.name or "")
        leaf = (node.name or "").rpartition("/")[2]
        scopes = ["", *(path for path in paths if path in types)]
        node.metadata_props[SCOPES] = repr([*scopes, leaf])
        node.metadata_props[TYPES] = repr([*(types[path] for path in scopes), node.op_type])
        node.name = _shortened(node.name)
        for value in node.outputs:
            value.name = _shortened(value.name)


def _shortened(name: str | None) -> str | None:
    if name is None or _MARK not in name:
        return name
    path = _SCOPE.findall(name)[-1:]
    return "/".join(["", *path, name.rpartition("/")[2].replace(_MARK, "")])
