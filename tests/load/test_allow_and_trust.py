"""``--allow`` and ``--trust``: the errors tell the exact flags, and the flags do what they say."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise

import pytest
import torch
from load_samples import replace_entry
from torch import nn

from bnfuse.errors import LoadError, UnsafeFileError, UsageError
from bnfuse.loading import load


def flags_of(remedy: str) -> list[str]:
    """The values of --allow in a remedy, as a person would copy them."""
    command = remedy[remedy.index("bnfuse fold") :].partition(" (")[0]
    words = shlex.split(command)
    return [value for option, value in pairwise(words) if option == "--allow"]


def test_the_error_lists_every_class_and_its_command_loads_the_file(
    tmp_path, mynets, forget_mynets
):
    torch.save(mynets.make(), tmp_path / "model.pt")
    forget_mynets()
    with pytest.raises(UnsafeFileError) as caught:
        load(tmp_path / "model.pt")
    assert "mynets.Net and mynets.ScratchBN" in str(caught.value)
    assert "mynets" not in sys.modules
    flags = flags_of(caught.value.remedy)
    assert flags == ["mynets.Net", "mynets.ScratchBN"]
    assert type(load(tmp_path / "model.pt", allow=flags).module).__name__ == "Net"


def test_one_flag_too_few_tells_the_whole_command(tmp_path, mynets):
    torch.save(mynets.make(), tmp_path / "model.pt")
    with pytest.raises(UnsafeFileError) as caught:
        load(tmp_path / "model.pt", allow=["mynets.Net"])
    assert flags_of(caught.value.remedy) == ["mynets.Net", "mynets.ScratchBN"]


def test_a_class_of_a_notebook_says_so_and_takes_a_new_home(tmp_path, mynets):
    torch.save(mynets.make(), tmp_path / "model.pt")
    replace_entry(
        tmp_path / "model.pt", "data.pkl", lambda d: d.replace(b"cmynets\n", b"c__main__\n")
    )
    with pytest.raises(UnsafeFileError, match="script or a notebook") as caught:
        load(tmp_path / "model.pt")
    flags = [flag.replace("MODULE", "mynets") for flag in flags_of(caught.value.remedy)]
    assert flags == ["__main__.Net=mynets.Net", "__main__.ScratchBN=mynets.ScratchBN"]
    assert type(load(tmp_path / "model.pt", allow=flags).module).__name__ == "Net"


def test_a_renamed_class_loads_under_trust_too(tmp_path, mynets):
    path = tmp_path / "model.pt"
    torch.save(mynets.make(), path, _use_new_zipfile_serialization=False, pickle_protocol=2)
    path.write_bytes(path.read_bytes().replace(b"cmynets\n", b"coldnet\n"))
    with pytest.raises(LoadError, match="oldnet"):
        load(path, trust=True)
    names = ["oldnet.Net=mynets.Net", "oldnet.ScratchBN=mynets.ScratchBN"]
    assert type(load(path, trust=True, allow=names).module).__name__ == "Net"


def test_trust_is_not_used_where_restriction_is_enough(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    assert not any("restriction" in n for n in load(tmp_path / "model.pt", trust=True).notes)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_pickle_protocols_need_trust(tmp_path, protocol):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt", pickle_protocol=protocol)
    if protocol > 3:
        with pytest.raises(UnsafeFileError, match="protocol"):
            load(tmp_path / "model.pt")
    assert load(tmp_path / "model.pt", trust=True).module is not None


@pytest.mark.parametrize(
    "option", ["", "Net", "a..b", "a.b=c", "a.b=c.d=e.f", "mynets:Net", "a.b c"]
)
def test_what_is_no_dotted_name_is_a_usage_error(tmp_path, option):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(UsageError, match="--allow"):
        load(tmp_path / "model.pt", allow=[option])


def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(
    tmp_path, mynets, monkeypatch
):
    torch.save(mynets.make(), tmp_path / "model.pt")
    monkeypatch.delitem(sys.modules, "mynets")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match="working directory, on PYTHONPATH"):
        load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.ScratchBN"])


def test_a_class_that_is_gone_is_named(tmp_path, mynets):
    torch.save(mynets.make(), tmp_path / "model.pt")
    del mynets.ScratchBN
    with pytest.raises(LoadError, match="has no ScratchBN"):
        load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.ScratchBN"])


def test_a_module_that_fails_on_import_is_an_error_with_its_reason(tmp_path, mynets, monkeypatch):
    torch.save(mynets.make(), tmp_path / "model.pt")
    monkeypatch.delitem(sys.modules, "mynets")
    (tmp_path / "mynets.py").write_text("raise RuntimeError('needs a licence')\n")
    # A source of another length: the cached bytecode is not taken for it.
    with pytest.raises(LoadError, match="needs a licence"):
        load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.ScratchBN"])


def test_path_and_permissions_are_as_they_were_after_loading(tmp_path, mynets):
    before, agreed = list(sys.path), set(torch.serialization.get_safe_globals())
    torch.save(mynets.make(), tmp_path / "model.pt")
    load(tmp_path / "model.pt", allow=["mynets.Net", "mynets.ScratchBN"])
    assert sys.path == before
    assert set(torch.serialization.get_safe_globals()) == agreed


def test_a_path_with_spaces_is_quoted_in_the_command(tmp_path, mynets):
    path = tmp_path / "my model.pt"
    torch.save(mynets.make(), path)
    with pytest.raises(UnsafeFileError) as caught:
        load(path)
    assert re.search(r"bnfuse fold '.*my model\.pt'", caught.value.remedy)
