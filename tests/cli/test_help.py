"""``bnfuse help``, and what the shell completes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from processes import run

ROOT = Path(__file__).parents[2]
TOPICS = {"exit-codes": "README.md", "json": "docs/json.md"}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_a_part_of_its_page_word_for_word(topic: str, process) -> None:
    ran = process("help", topic)
    assert ran.code == 0
    page = (ROOT / TOPICS[topic]).read_text(encoding="utf-8")
    assert len(ran.out) > 400
    assert ran.out.decode() in page


def test_every_topic_has_its_page(process) -> None:
    listed = re.search(r"^Topics of bnfuse help: (.*)\.$", process("help").out.decode(), re.M)
    assert listed
    assert listed[1].split(", ") == list(TOPICS)


def test_a_command_is_a_topic_too(process) -> None:
    assert process("help", "fold").out == process("fold", "--help").out


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["help", "exit-code"], "Did you mean exit-codes?"),
        (["help", "fodl"], "Did you mean fold?"),
        (["help", "xyzzy"], "There are exit-codes, json and the commands."),
        (["inspct", "m.onnx"], "Did you mean inspect?"),
        (["xyzzy"], "bnfuse --help lists them."),
        (["fold", "--provder", "cpu"], "--provider"),
        (["prove", "nett.onnx", "net.onnx"], "Did you mean net.onnx?"),
        (["verify", "net.onnx", "nett.onnx"], "Did you mean net.onnx?"),
        (["bench", "nett.onnx"], "Did you mean net.onnx?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("net_onnx")
def test_the_name_that_was_meant_is_asked_for(args: list[str], meant: str, process) -> None:
    ran = process(*args)
    assert (ran.code, ran.out) == (2, b"")
    assert meant in ran.err


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["verify", "", "net.onnx"], "ORIGINAL"),
        (["verify", "net.onnx", ""], "CANDIDATE"),
        (["prove", "", "net.onnx"], "ORIGINAL"),
        (["fold", ""], "SOURCE"),
        (["inspect", "net.onnx", ""], "OTHER"),
        (["bench", ""], "MODELS"),
        (["report", ""], "RUN.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("net_onnx")
def test_an_empty_path_is_not_the_current_folder(args: list[str], name: str, process) -> None:
    ran = process(*args)
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err == f"error: {name} is an empty path. Name a file.\n"


def completed(folder: Path, line: str, **environment: str) -> list[str]:
    """What bash is offered behind ``line``."""
    words = line.split()
    place = len(words) if line.endswith(" ") else len(words) - 1
    ran = run(
        folder,
        COMP_WORDS=line,
        COMP_CWORD=str(place),
        _BNFUSE_COMPLETE="bash_complete",
        **environment,
    )
    assert ran.err == ""
    return ran.out.decode().split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bnfuse ver", ["plain,verify"]),
        ("bnfuse help ex", ["plain,exit-codes", "plain,export"]),
        ("bnfuse fold m", ["plain,m.onnx", "plain,m.pt", "plain,models/"]),
        ("bnfuse bench ", ["plain,m.onnx", "plain,models/"]),
        ("bnfuse verify m.pt models/", ["plain,models/n.onnx"]),
        ("bnfuse check p", ["plain,proof.json"]),
        ("bnfuse fold none/", ["file,none/"]),
        ("bnfuse fold m.pt --provider c", ["plain,cpu", "plain,cuda", "plain,coreml"]),
        ("bnfuse fold m.pt --dry", ["plain,--dry-run"]),
        ("bnfuse train conv-pool-bn-", ["plain,conv-pool-bn-twice"]),
    ],
)
def test_the_shell_completes_files_providers_and_nets(
    line: str, offered: list[str], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    for name in ("m.onnx", "m.pt", "m.txt", "models/n.onnx", "models/n.txt", "proof.json"):
        (tmp_path / name).touch()
    assert completed(tmp_path, line) == offered


def test_the_nets_that_complete_are_those_that_there_are(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from bnfuse.models import names

    assert completed(tmp_path, "bnfuse train ") == [f"plain,{name}" for name in names()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, tmp_path: Path) -> None:
    ran = run(tmp_path, _BNFUSE_COMPLETE=f"{shell}_source")
    assert f"_BNFUSE_COMPLETE={shell}_complete" in ran.out.decode()
