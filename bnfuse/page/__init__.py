"""What a person looks at: the HTML report, and what a notebook shows of a result.

Both are made of the plain data that ``--json`` writes, so a saved report makes the same page, and
every stage may show itself without this package knowing the stages.
"""

from __future__ import annotations

__all__ = ["glance", "is_page", "report_page"]

from bnfuse.page.document import is_page, report_page
from bnfuse.page.notebook import glance
