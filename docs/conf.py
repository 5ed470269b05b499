"""The documentation as a site: ``make docs`` builds it with Sphinx from the pages as they lie here.

The source folder is the checkout and not ``docs/``: so the README and the figures of the benchmarks
belong to the site, and a link that works in the repository works in the site and is checked.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "bnfuse"
release = version = version_of("bnfuse")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_external_toc",
]
external_toc_path = "docs/_toc.yml"
external_toc_exclude_missing = False
include_patterns = ["README.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = [".*", "build", "demo", "dist", "tests"]

# Headings are anchors by GitHub's rule, so that `page.md#heading` means the same in both places.
myst_heading_anchors = 4
# The notebook is run by its test; the site shows what it holds.
nb_execution_mode = "off"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"bnfuse {release}"
html_extra_path = [str(file) for file in (ROOT / "bnfuse").rglob("report.schema.json")]
html_copy_source = False
html_show_copyright = False
smartquotes = False
html_theme_options = {"navigation_with_keys": True}
# The pages lie in docs/ in the site as well; the site's front door leads there.
html_additional_pages = {"index": "front.html"}
templates_path = ["."]


def as_printed(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Keep what click prints as it is printed: stars are no emphasis, and examples are code."""
    kept: list[str] = []
    for line in lines:
        if line.startswith("|  "):
            if not kept[-1].startswith("   "):
                kept[-1:] = [f"{kept[-1]}:", ""]
            kept.append(line.removeprefix("|"))
        else:
            kept.append(line.removeprefix("| ").replace("*", r"\*"))
    lines[:] = kept


def setup(app: Sphinx) -> None:
    """Connect what changes the help of a command on its way into the site."""
    for part in ("description", "epilog", "options"):
        app.connect(f"sphinx-click-process-{part}", as_printed)
