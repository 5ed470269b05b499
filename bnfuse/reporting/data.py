"""The report as data, and as the JSON that ``--json`` writes."""

from __future__ import annotations

from bnfuse.verdict import Verdict

__all__ = ["Counts", "Report", "SiteReport", "site_reports"]

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bnfuse.folding import Fate
from bnfuse.lifting.sites import Kind, Site
from bnfuse.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.fingerprint import Fingerprint
    from bnfuse.folding import FoldLog, Merge, MergeRefusal
    from bnfuse.lifting import Lifted
    from bnfuse.reporting.blame import Blame
    from bnfuse.reporting.channels import Channels
    from bnfuse.reporting.sketch import Sketch
    from bnfuse.verifying import Verification


@dataclass(frozen=True)
class SiteReport:
    """One site of the model and its fate.

    Attributes:
        name: The value that it computes in the model.
        module: The dotted path of its module, or the empty string.
        kind: ``norm``, ``affine``, ``scale``, ``shift`` or ``scalar``.
        spelling: Its ops in order.
        folded: Whether no op is left for it: its neighbours took it.
        into: The nodes that took it.
        through: The op types that it passed through.
        corrected: What makes up for it where others read a value that gained it.
        reason: Why it was left; empty when folded.
        nodes: The names of the nodes that it was made of.
        rules: What was done to the nodes that took it.
        channels: Its constants, where they are known.
    """

    name: str
    module: str
    kind: str
    spelling: tuple[str, ...]
    folded: bool
    into: tuple[str, ...]
    through: tuple[str, ...]
    corrected: tuple[str, ...]
    reason: str
    nodes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    channels: Channels | None = field(default=None, compare=False, repr=False)

    def to_json(self, *, detailed: bool = False) -> dict[str, Any]:
        """Plain data; ``into`` and ``reason`` are ``None`` where there is nothing to say.

        Args:
            detailed: Whether its constants are in it too.
        """
        details: dict[str, Any] = {}
        if detailed:
            details = {"channels": None if self.channels is None else self.channels.to_json()}
        return {
            "name": self.name,
            "module": self.module,
            "kind": self.kind,
            "spelling": " ".join(self.spelling),
            "status": "folded" if self.folded else "left",
            "into": ", ".join(self.into) or None,
            "through": list(self.through),
            "corrected": list(self.corrected),
            "reason": self.reason or None,
            "nodes": list(self.nodes),
            "rules": list(self.rules),
            **details,
        }


@dataclass(frozen=True)
class Counts:
    """A number before and after the fold."""

    before: int
    after: int

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return {"before": self.before, "after": self.after}


@dataclass(frozen=True)
class Report:
    """Everything that a fold has to say.

    Attributes:
        source: The file, or a name for what was given in memory.
        output: The file that was written, or ``None``.
        kind: What the source is, in words.
        exporter: Which exporter made the ONNX graph; ``None`` for an ONNX source.
        opset: The ONNX operator set.
        sites: Every norm, scale, shift and scalar, in graph order.
        ops: Nodes before and after, constants not counted.
        bytes: Size of the ONNX model before and after, external data included.
        notes: What else a person should know.
        merges: Linear maps that became one.
        unmerged: Those that could have become one, and why they stay.
        verification: The proof, or ``None`` when it was not asked for.
        blame: If the fold is wrong and it was asked for: its first bad rule application.
        source_files: What was read, by its SHA-256; the model first, then its external data.
        output_files: What was written, likewise.
        replaced: Whether another file was at ``output`` before.
        load_flags: The options with which the command line loads the source again.
        undone: The rule applications that were taken back because the fold failed its
            verification with them.
        before: The graph that was folded.
        after: The graph that it became.
    """

    source: str
    output: str | None
    kind: str
    exporter: str | None
    opset: int
    sites: tuple[SiteReport, ...]
    ops: Counts
    bytes: Counts
    notes: tuple[str, ...] = ()
    merges: tuple[Merge, ...] = ()
    unmerged: tuple[MergeRefusal, ...] = ()
    verification: Verification | None = None
    blame: Blame | None = None
    source_files: tuple[Fingerprint, ...] = ()
    output_files: tuple[Fingerprint, ...] = ()
    replaced: bool = False
    load_flags: tuple[str, ...] = ()
    undone: tuple[Blame, ...] = ()
    before: Sketch | None = field(default=None, repr=False)
    after: Sketch | None = field(default=None, repr=False)

    @property
    def norms(self) -> tuple[SiteReport, ...]:
        """The sites that are whole norms: a scale and a shift per channel."""
        return tuple(site for site in self.sites if site.kind == Kind.NORM.value)

    @property
    def affines(self) -> tuple[SiteReport, ...]:
        """The scales and shifts of normalisers, such as LayerNormalization, that stay."""
        return tuple(site for site in self.sites if site.kind == Kind.AFFINE.value)

    @property
    def verdict(self) -> Verdict:
        """The verification's, or that there was none."""
        return Verdict.NOT_VERIFIED if self.verification is None else self.verification.verdict

    @property
    def proved(self) -> str:
        """What was proved of the folded model, in a few words, or the empty string."""
        proof = None if self.verification is None else self.verification.proof
        return str(proof) if proof is not None and proof.proved else ""

    @property
    def folded(self) -> str:
        """What was folded, in a few words."""
        kinds = (("norms", self.norms), ("normalisers' scales and shifts", self.affines))
        told = [
            f"{sum(site.folded for site in sites)} of {len(sites)} {name}"
            for name, sites in kinds
            if sites or name == "norms"
        ]
        return ", ".join(told + ([f"{len(self.merges)} merges"] if self.merges else []))

    def of_size(self, size: int) -> Report:
        """The same report, with the size that the folded model has on disk."""
        return replace(self, bytes=replace(self.bytes, after=size))

    def to_json(self, *, detailed: bool = False) -> dict[str, Any]:
        """Plain data, as docs/json.md has it; the command line adds how it ended.

        Args:
            detailed: Whether the two graphs and the constants of each norm are in it too, as
                `bnfuse report` draws them.
        """
        details: dict[str, Any] = {}
        if detailed and self.before is not None and self.after is not None:
            details = {"graph": {"before": self.before.to_json(), "after": self.after.to_json()}}
        return {
            "bnfuse": __version__,
            "source": self.source,
            "output": self.output,
            "files": {
                "source": [asdict(item) for item in self.source_files],
                "output": [asdict(item) for item in self.output_files],
            },
            "replaced": self.replaced,
            "kind": self.kind,
            "exporter": self.exporter,
            "opset": self.opset,
            "norms": _tally(self.norms),
            "affines": _tally(self.affines),
            "merges": [_merge_json(merge) for merge in self.merges],
            "unmerged": [{"parts": list(m.parts), "reason": m.reason} for m in self.unmerged],
            "folds": [site.to_json(detailed=detailed) for site in self.sites],
            "ops": self.ops.to_json(),
            "bytes": self.bytes.to_json(),
            "notes": list(self.notes),
            **self._verification_json(),
            "blame": None if self.blame is None else self.blame.to_json(),
            "undone": [blame.to_json() for blame in self.undone],
            "verdict": self.verdict,
            **details,
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, the net before and after, the norms."""
        from bnfuse.page import glance

        return glance(self.to_json(detailed=True))

    def _verification_json(self) -> dict[str, Any]:
        if self.verification is None:
            return {"parity": []}
        return self.verification.to_json()


def _merge_json(merge: Merge) -> dict[str, Any]:
    return {
        "kind": merge.kind,
        "parts": list(merge.parts),
        "into": merge.into,
        "flops": {"before": merge.before.flops, "after": merge.after.flops},
        "bytes": {"before": merge.before.bytes, "after": merge.after.bytes},
    }


def _tally(sites: Sequence[SiteReport]) -> dict[str, int]:
    folded = sum(site.folded for site in sites)
    return {"found": len(sites), "folded": folded, "left": len(sites) - folded}


def site_reports(
    lifted: Lifted, log: FoldLog, channels: Mapping[Site, Channels] | None = None
) -> tuple[SiteReport, ...]:
    """Each site with its fate: the lifted ones in graph order, then those that could not be.

    Args:
        lifted: The model.
        log: What its fold did.
        channels: The constants of its sites, from before the fold.
    """
    rules: dict[Site, dict[str, None]] = {site: {} for site in log.fates}
    for application in log.applications:
        for site in application.sites:
            rules[site].update(dict.fromkeys(application.rules))
    known = channels or {}
    found = [
        replace(_site(site, fate), rules=tuple(rules[site]), channels=known.get(site))
        for site, fate in log.fates.items()
    ]
    found += [_site(item.site, Fate(folded=False, reason=item.reason)) for item in lifted.unlifted]
    return tuple(found)


def _site(site: Site, fate: Fate) -> SiteReport:
    return SiteReport(
        name=site.name,
        module=site.module,
        kind=site.kind.value,
        spelling=site.spelling,
        folded=fate.folded,
        into=fate.into,
        through=fate.through,
        corrected=fate.corrected,
        reason=fate.reason,
        nodes=site.nodes,
    )
