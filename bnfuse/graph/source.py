"""What a node was before it was lifted, so that what does not change is put back as it was."""

from __future__ import annotations

__all__ = ["OfNode", "Source", "module_path"]

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True, eq=False)
class Source:
    """A node's content, detached from the graph: it counts as nobody's consumer.

    Attributes:
        op_type: The operator.
        domain: Its domain.
        name: The node's name.
        inputs: Its inputs.
        frame: A node without inputs that holds its attributes.
        metadata: Its metadata properties.
        doc_string: Its documentation.
        module: The dotted path of the module it came from, as far as the exporter left it.
        outputs: How many outputs it has.
    """

    op_type: str
    domain: str
    name: str
    inputs: tuple[ir.Value | None, ...]
    frame: ir.Node
    metadata: Mapping[str, str]
    doc_string: str | None
    module: str
    outputs: int = 1

    @classmethod
    def of(cls, node: ir.Node) -> Source:
        """A snapshot of ``node``."""
        return cls(
            op_type=node.op_type,
            domain=node.domain,
            name=name_of(node),
            inputs=tuple(node.inputs),
            frame=ir.Node(node.domain, node.op_type, [], attributes=list(node.attributes.values())),
            metadata=dict(node.metadata_props),
            doc_string=node.doc_string,
            module=module_path(node),
            outputs=len(node.outputs),
        )

    def emit(
        self,
        inputs: Sequence[ir.Value | None],
        output: ir.Value,
        attributes: Sequence[ir.Attr] | None = None,
    ) -> ir.Node:
        """The node again, with other inputs or attributes."""
        return ir.Node(
            self.domain,
            self.op_type,
            inputs,
            attributes=list(self.frame.attributes.values()) if attributes is None else attributes,
            outputs=[output],
            name=self.name,
            doc_string=self.doc_string,
            metadata_props=dict(self.metadata),
        )


@dataclass(frozen=True, eq=False)
class OfNode:
    """What was read from a node of the model, and is called after it.

    Attributes:
        source: The node, as it stood in the graph.
    """

    source: Source

    @property
    def op_type(self) -> str:
        """The operator."""
        return self.source.op_type

    @property
    def name(self) -> str:
        """The node's name."""
        return self.source.name

    @property
    def label(self) -> str:
        """What a person calls it: its module's path, or the node's name."""
        return self.source.module or self.source.name

    @property
    def title(self) -> str:
        """Its op and what a person calls it, as in ``Conv features.0``."""
        return f"{self.op_type} {self.label}"


def module_path(node: ir.Node) -> str:
    """The dotted path of the module that ``node`` came from, or the empty string.

    PyTorch's exporter leaves the scopes in the node's metadata; its tracing exporter and many
    other tools leave them in the node's name, as in ``/features/norm/Sub``.
    """
    scopes = node.metadata_props.get(_SCOPES)
    if scopes:
        try:
            names = ast.literal_eval(scopes)
        except (ValueError, SyntaxError):
            return ""
        # The last scope is the operator itself; the ones before it are nested module paths.
        paths = [str(name) for name in names[:-1] if name]
        return paths[-1] if paths else ""
    name = node.name or ""
    return ".".join(name.split("/")[1:-1]) if name.startswith("/") else ""
