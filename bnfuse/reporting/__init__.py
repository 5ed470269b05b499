"""The report of a fold: what was found, where it went, what is left and why, and the proof."""

from __future__ import annotations

__all__ = ["Counts", "Report", "SiteReport", "Sketch", "channels_of", "site_reports"]

from bnfuse.reporting.channels import channels_of
from bnfuse.reporting.data import Counts, Report, SiteReport, site_reports
from bnfuse.reporting.sketch import Sketch
