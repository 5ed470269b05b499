"""The tutorial notebook, run anew: it prints what it shows, and is in step with the tutorial."""

from __future__ import annotations

import re

import nbformat
import pytest
from builds import ROOT
from nbclient import NotebookClient
from pages import files, shows

NOTEBOOK = nbformat.read(ROOT / "docs/notebook.ipynb", 4)
SOURCES = [cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code"]


def printed(notebook):
    """What each code cell shows as text; pictures of the same are left to what draws them."""
    return [
        "\n".join(
            one.text if one.output_type == "stream" else one.data["text/plain"] for one in outs
        )
        for outs in (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    ]


@pytest.fixture(scope="module")
def ran():
    notebook = nbformat.from_dict(NOTEBOOK)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(ROOT)}}).execute()
    return printed(notebook)


def test_the_notebook_ends_in_a_verified_file_and_a_damage_that_is_found(ran):
    assert any(text.strip().endswith("\nPASS") for text in ran)
    assert ran[-1].strip() == "FAIL"
    assert any(text.startswith("Folded(6 of 7 norms, PASS)") for text in ran)


def test_the_notebook_prints_what_it_shows(ran):
    for shown, text in zip(printed(NOTEBOOK), ran, strict=True):
        assert shows(shown, text), text


def test_the_net_and_its_training_are_the_tutorials():
    pages = files("docs/tutorial.md")
    assert SOURCES[0] == re.sub(r"^# mynet.py\n", "", pages["mynet.py"]).strip()
    for line in ("net = ResNet()", "training = train(net, Schedule(epochs=5))"):
        assert line in SOURCES[1]
        assert line in pages["train_mynet.py"]
    for line in ('if tensor.name == "stem.bias"]', "numbers[3] += 1e-4"):
        assert line in SOURCES[-1]
        assert line in pages["damage.py"]
