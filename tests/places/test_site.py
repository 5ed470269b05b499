"""The documentation as a site: it builds, it needs no network, and a link to nowhere stops it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the site is built where the extra docs is installed")

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "sphinx", "-EaqW", "--keep-going", "-c", str(ROOT / "docs"))
TREE = {
    "README.md": "# Readme\n\n## Quick start\n",
    "docs/index.md": "# Index\n\n[r](../README.md#quick-start) [p](page.md#part) [here](#index)\n",
    "docs/page.md": "# Page\n\n## Part\n",
    "docs/_toc.yml": "root: docs/index\nentries: [{file: README}, {file: docs/page}]\n",
}


def build(source, target):
    return subprocess.run([*COMMAND, str(source), str(target)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = tmp_path_factory.mktemp("site")
    ran = build(ROOT, made)
    assert ran.returncode == 0, ran.stderr
    return made


def pages(site):
    return {file.relative_to(site).as_posix(): file.read_text() for file in site.rglob("*.html")}


def test_every_page_of_the_repository_is_in_the_site(site):
    sources = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    names = {file.relative_to(ROOT).with_suffix(".html").as_posix() for file in sources}
    assert names <= pages(site).keys()
    assert 'url=docs/index.html"' in pages(site)["index.html"]
    assert (site / "report.schema.json").exists()
    assert "docs/notebook.html" in pages(site)


def test_nothing_is_fetched_from_elsewhere(site):
    for name, text in pages(site).items():
        fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(//|https?:)", text)
        assert not fetched, name
    for file in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", file.read_text()), file


def test_the_reference_is_made_from_the_code(site):
    found = pages(site)
    for command in ("fold", "verify", "prove", "bench"):
        assert f'id="bnfuse-{command}"' in found["docs/cli.html"]
    assert 'id="cmdoption-bnfuse-verify-require-proof"' in found["docs/cli.html"]
    assert "bnfuse bench *.onnx --threads 4" in re.sub("<.*?>", "", found["docs/cli.html"])
    for name in ("fold", "Verification.to_json", "testing.assert_parity", "errors.LoadError"):
        assert f'id="bnfuse.{name}"' in found["docs/reference.html"], name


@pytest.mark.parametrize(
    ("page", "added", "said"),
    [
        ("docs/index.md", "", None),
        ("docs/index.md", "[x](absent.md)", "absent.md"),
        ("docs/index.md", "[x](page.md#absent)", "absent"),
        ("docs/index.md", "[x](#absent)", "absent"),
        ("docs/index.md", "[x](../README.md#absent)", "absent"),
        ("docs/index.md", "![x](absent.png)", "absent.png"),
        ("docs/orphan.md", "# Orphan", "orphan.md"),
    ],
)
def test_what_leads_nowhere_stops_the_build(page, added, said, tmp_path):
    (tmp_path / "docs").mkdir()
    for name, text in TREE.items():
        (tmp_path / name).write_text(text)
    with (tmp_path / page).open("a") as file:
        file.write(f"\n{added}\n")
    ran = build(tmp_path, tmp_path / "site")
    assert ran.returncode == (said is not None), ran.stderr
    assert said is None or said in ran.stderr
