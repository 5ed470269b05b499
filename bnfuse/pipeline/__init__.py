"""The pipeline's public functions: a model through all stages, or through the first two."""

from __future__ import annotations

__all__ = ["Folded", "convert", "export", "fold", "load"]

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from bnfuse.loading import LoadOptions, load
from bnfuse.pipeline.convert import convert
from bnfuse.pipeline.entry import SourceOptions, export_source
from bnfuse.pipeline.folded import Folded
from bnfuse.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.exporting import Exported
    from bnfuse.loading import LoadKeywords
    from bnfuse.pipeline.entry import Inputs, Source


def export(
    source: Source,
    inputs: Inputs | None = None,
    *,
    opset: int | None = None,
    options: LoadOptions | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[LoadKeywords],
) -> Exported:
    """Export a module, or a file that holds one, to ONNX with every norm still in it.

    Args:
        source: A module, or what one can be made of, in the forms that :func:`fold` takes.
        inputs: Example tensors for ``forward``; found from the first layers when not given.
        opset: The ONNX operator set to write.
        options: How a file is loaded.
        progress: Hears of each stage.
        **keywords: Fields of :class:`LoadOptions`, which take the place of those in ``options``.

    Raises:
        BnfuseError: The source cannot be loaded, run or exported; see ``bnfuse.errors``.
    """
    wanted = SourceOptions(inputs, opset, LoadOptions.of(options, keywords))
    return export_source(source, wanted, progress or Silent())


def fold(
    source: Source,
    inputs: Inputs | None = None,
    *,
    output: str | Path | None = None,
    opset: int | None = None,
    providers: Sequence[str] = ("auto",),
    verified: bool = True,
    seed: int = 0,
    localize: bool = False,
    options: LoadOptions | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[LoadKeywords],
) -> Folded:
    """Fold every norm that can be folded exactly, and prove that the function is the same.

    Args:
        source: A path that :func:`load` understands; an ``nn.Module``, an ``ExportedProgram`` or,
            with ``model``, a state_dict; an ONNX model as a ``ModelProto``, an ``onnx_ir.Model``,
            torch's ``ONNXProgram`` or the bytes of a file; or what :func:`load`, :func:`export`
            or :func:`fold` returned. Nothing given in memory is changed.
        inputs: Example tensors or arrays for the module's ``forward``; found when not given.
        output: Where to write the folded model. It is written only if the verification passed;
            else the candidate is left beside it as ``*.unverified.onnx``.
        opset: The ONNX operator set to export to.
        providers: The execution providers to verify on: ``auto``, ``cpu``, ``cuda`` or a name.
        verified: Whether to verify at all.
        seed: Seed of the verification's inputs.
        localize: If the verification fails, say at which value the models part and which rule
            application is the first bad one, and take nothing back. It costs one more
            verification for each doubling of their number.
        options: How a file is loaded.
        progress: Hears of each stage.
        **keywords: Fields of :class:`LoadOptions`, which take the place of those in ``options``:
            ``model``, ``allow``, ``trust``, ``input_shapes``, ``dtype``, ``weights``.

    Returns:
        The folded model and its report. Where the whole fold fails its verification, or a second
        derivation does not confirm a constant of it, the rule applications to blame are taken back
        (``report.undone``) and the rest is verified and returned. A verification that did not pass
        is in the report and raises nothing.

    Raises:
        BnfuseError: The source cannot be loaded, exported, folded or written.
    """
    return convert(
        source,
        folding=True,
        inputs=inputs,
        opset=opset,
        options=LoadOptions.of(options, keywords),
        output=output,
        providers=providers,
        verified=verified,
        seed=seed,
        localize=localize,
        progress=progress,
    )
