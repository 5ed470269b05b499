"""Where the command line writes: files that are files, through links, or stdout, alone there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import onnx
import pytest
from processes import COMMAND

import bnfuse
from bnfuse.cli.main import main
from bnfuse.cli.outcome import outcome_of
from bnfuse.cli.output import replaces
from bnfuse.errors import OutputError, UsageError

DEVICES = ["/dev/null", "/dev/stdout", "folder", "none/x", "{source}"]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch):
    """Run a command that is to be refused before it reads or writes anything."""
    monkeypatch.chdir(tmp_path)
    for heavy in ("bnfuse.pipeline.convert", "bnfuse.verifying.verify", "bnfuse.bench.compare"):
        monkeypatch.setattr(heavy, None)
    (tmp_path / "folder").mkdir()

    def run(*args: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert left.value.code == 2
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert "bnfuse met" not in captured.err
        assert sorted(tmp_path.rglob("*")) == before
        return captured.err

    return run


@pytest.mark.parametrize("place", DEVICES)
@pytest.mark.parametrize(
    "command",
    [
        ["fold", "{source}", "-o"],
        ["export", "{source}", "-o"],
        ["train", "scratch-cnn", "-o"],
        ["train", "--compare", "-o"],
        ["fold", "{source}", "--json"],
        ["export", "{source}", "--json"],
        ["verify", "{source}", "{source}", "--json"],
        ["verify", "{source}", "{source}", "--junit"],
        ["bench", "{source}", "--rounds", "6", "--json"],
    ],
    ids=lambda words: " ".join(w for w in words if w[0] != "{"),
)
def test_no_place_for_a_file_is_told_before_the_work(
    command: list[str], place: str, refused, net_onnx: Path
) -> None:
    if "train" in command and place == "{source}":
        pytest.skip("reads no file")
    before = net_onnx.read_bytes()
    says = refused(*(word.format(source=net_onnx) for word in [*command, place]))
    assert any(words in says for words in ("cannot be written", "is the", "which is timed"))
    assert net_onnx.read_bytes() == before


def test_a_reproduction_replaces_only_an_earlier_one(refused, net_onnx: Path) -> None:
    both = [net_onnx, net_onnx]
    assert "no earlier reproduction" in refused("verify", *both, "--repro", ".")
    assert "no folder" in refused("verify", *both, "--repro", net_onnx)


@pytest.mark.parametrize(
    "args",
    [
        ["fold", "net.onnx", "-o", "-", "--json", "-"],
        ["fold", "net.onnx", "-o", "same", "--json", "same"],
        ["verify", "net.onnx", "net.onnx", "--json", "-", "--junit", "-"],
        ["verify", "net.onnx", "net.onnx", "--json", "same", "--junit", "./same"],
    ],
)
@pytest.mark.usefixtures("net_onnx")
def test_two_files_in_one_place_are_refused(args: list[str], refused) -> None:
    assert "both write" in refused(*args)


@pytest.mark.parametrize(
    "args",
    [
        ["fold", "net.onnx", "-o", "weights"],
        ["fold", "net.onnx", "--json", "weights"],
        ["fold", "net.onnx", "--json", "weights", "--frob"],
        ["fold", "net.onnx", "--junit", "weights"],
        ["fold", "net.onnx", "--report", "weights"],
        ["fold", "net.onnx", "--dry-run", "--json", "./weights"],
        ["inspect", "net.onnx", "--json", "weights"],
        ["verify", "net.onnx", "net.onnx", "--json", "weights"],
        ["verify", "net.onnx", "net.onnx", "--junit", "weights"],
        ["bench", "net.onnx", "--json", "weights"],
        ["prove", "net.onnx", "net.onnx", "-o", "weights"],
        ["fold", "saved", "--json", "saved/model.safetensors"],
    ],
    ids=" ".join,
)
def test_no_output_replaces_the_weights_of_a_model(
    args: list[str], net_onnx: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(net_onnx.parent)
    net = onnx.load(net_onnx)
    onnx.save(net, net_onnx, save_as_external_data=True, location="weights", size_threshold=0)
    (net_onnx.parent / "saved").mkdir()
    for name in ("config.json", "model.safetensors"):
        (net_onnx.parent / "saved" / name).write_text("{}")
    files = [file for file in net_onnx.parent.rglob("*") if file.is_file()]
    before = {file: file.read_bytes() for file in files}
    with pytest.raises(SystemExit) as left:
        main(args)
    assert left.value.code == 2
    assert "--frob" in args or "holds weights of" in capsys.readouterr().err
    after = [file for file in net_onnx.parent.rglob("*") if file.is_file()]
    assert {file: file.read_bytes() for file in after} == before


def test_a_report_in_the_folder_of_a_model_can_be_replaced(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "report.json"):
        (tmp_path / name).write_text("{}")
    assert not replaces(tmp_path / "report.json", tmp_path)
    assert replaces(tmp_path / "config.json", tmp_path)


def test_the_candidate_that_does_not_pass_replaces_no_source(net_onnx: Path) -> None:
    source = net_onnx.rename(net_onnx.with_name("m.unverified.onnx"))
    before = source.read_bytes()
    with pytest.raises(UsageError, match="would land"):
        bnfuse.fold(source, output=net_onnx.with_name("m.onnx"), providers=["openvino"])
    assert source.read_bytes() == before


def test_a_link_stays_a_link(net_onnx: Path, tmp_path: Path, process) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "current.onnx").symlink_to("store/v1.onnx")
    (tmp_path / "report.json").symlink_to("store/v1.json")
    ran = process("fold", net_onnx, "-o", "current.onnx", "--json", "report.json")
    assert ran.code == 0, ran.err
    assert (tmp_path / "current.onnx").is_symlink()
    assert (tmp_path / "report.json").is_symlink()
    assert len(onnx.load(tmp_path / "store" / "v1.onnx").graph.node) == 2
    assert json.loads((tmp_path / "store" / "v1.json").read_text())["output"] == "current.onnx"


def test_weights_in_a_second_file_do_not_go_through_a_link(
    net_onnx: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("bnfuse.onnxfiles.write._INLINE_LIMIT", 0)
    (tmp_path / "store").mkdir()
    (tmp_path / "link.onnx").symlink_to("store/v1.onnx")
    with pytest.raises(OutputError, match="second file"):
        bnfuse.fold(net_onnx, output=tmp_path / "link.onnx")
    assert os.listdir(tmp_path / "store") == []
    (tmp_path / "f.onnx.data").symlink_to("store/w")
    with pytest.raises(OutputError, match="second file"):
        bnfuse.fold(net_onnx, output=tmp_path / "f.onnx")
    assert os.listdir(tmp_path / "store") == []


def test_a_model_on_stdout_is_alone_there(net_onnx: Path, tmp_path: Path, process) -> None:
    ran = process("fold", net_onnx, "-o", "-", "--json", "report.json")
    assert ran.code == 0
    assert process("fold", net_onnx, "-o", "file.onnx").code == 0
    assert ran.out == (tmp_path / "file.onnx").read_bytes()
    assert "1 of 1 folded" in ran.err
    assert not (tmp_path / "-").exists()
    assert json.loads((tmp_path / "report.json").read_text())["output"] == "-"


def test_a_model_that_does_not_pass_stays_off_stdout(net_onnx: Path, process) -> None:
    ran = process("fold", net_onnx, "-o", "-", "--provider", "openvino")
    assert (ran.code, ran.out) == (3, b"")
    assert "not written" in ran.err


def test_a_trained_net_on_stdout(tmp_path: Path, process) -> None:
    import torch

    ran = process("train", "conv-bn-linear-bn", "--epochs", 1, "-o", "-")
    assert ran.code == 0, ran.err
    (tmp_path / "m.pt").write_bytes(ran.out)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "m.pt")
    assert not (tmp_path / "-").exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_gets_no_model(net_onnx: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    ran = subprocess.run(
        [*COMMAND, "fold", str(net_onnx), "-o", "-"],
        stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert ran.returncode == 2
    assert "stdout is a terminal" in ran.stderr


@pytest.mark.parametrize("command", ["fold", "export"])
def test_a_name_that_was_not_asked_for_replaces_nothing_of_the_users(
    command: str, tmp_path: Path, monkeypatch, bnfuse
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), tmp_path / "model.pt")
    own = tmp_path / "model.onnx"
    own.write_bytes(b"the user's own export")
    ran = bnfuse(command, "model.pt", "--no-verify")
    assert ran.code == 2
    assert "'model.onnx' is there already" in ran.err
    assert "--force" in ran.err
    assert own.read_bytes() == b"the user's own export"
    for options in ([], ["-o", "model.onnx"]):
        ran = bnfuse(command, "model.pt", "--no-verify", "--no-clobber", *options)
        assert ran.code == 2
        assert own.read_bytes() == b"the user's own export"
    ran = bnfuse(command, "model.pt", "--no-verify", "--force")
    assert ran.code == 0
    assert "in the place of an earlier file" in ran.out
    own.write_bytes(b"the user's own export")
    assert bnfuse(command, "model.pt", "--no-verify", "-o", "model.onnx").code == 0
    assert own.read_bytes() != b"the user's own export"


def test_a_command_can_be_run_again_until_its_output_is_changed(net_onnx: Path, process) -> None:
    output = net_onnx.with_name("net.folded.onnx")
    assert b"in the place" not in process("fold", net_onnx).out
    assert process("fold", net_onnx).code == 0
    assert process("fold", net_onnx, "--no-clobber").code == 2
    output.write_bytes(output.read_bytes() + b"\x72\x00")
    assert process("fold", net_onnx).code == 2


def test_the_unverified_candidate_replaces_nothing_of_the_users(net_onnx: Path, process) -> None:
    aside = net_onnx.with_name("out.unverified.onnx")
    aside.write_bytes(b"own")
    for _ in range(2):
        assert process("fold", net_onnx, "-o", "out.onnx").code == 2
        assert aside.read_bytes() == b"own"
    aside.unlink()
    for _ in range(2):
        assert process("fold", net_onnx, "-o", "out.onnx", "--provider", "openvino").code == 3


def test_force_and_no_clobber_together_are_refused(refused, net_onnx: Path) -> None:
    assert "opposite" in refused("fold", net_onnx, "--force", "--no-clobber")


@pytest.mark.parametrize("command", ["fold", "verify", "bench", "export"])
def test_a_seed_below_zero_is_refused(command: str, net_onnx: Path, capsys) -> None:
    files = [str(net_onnx)] * (1 if command in ("fold", "export") else 2)
    with pytest.raises(SystemExit, match="2"):
        main([command, *files, "--seed", "-1"])
    assert "'--seed': -1 is not in the range x>=0" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["it broke", "it broke.\nand then\nmore", ""])
def test_an_error_that_nobody_foresaw_is_one_sentence(said: str) -> None:
    message = outcome_of(ValueError(said)).message
    assert message == f"bnfuse met ValueError: {'it broke' if said else 'no message'}."
