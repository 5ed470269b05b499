"""What a file may be written to: regular files, through links, and nothing else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bnfuse.errors import OutputError
from bnfuse.target import target_of, write_whole


def write(path: Path) -> None:
    write_whole(path, lambda file: file.write(b"new"))


def test_a_new_file_and_one_that_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_replaced(there: bool, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    real, middle, link = tmp_path / "far" / "real", tmp_path / "middle", tmp_path / "link"
    if there:
        real.write_bytes(b"old")
    middle.symlink_to(Path("far") / "real")
    link.symlink_to(middle)
    write(link)
    assert link.is_symlink()
    assert middle.is_symlink()
    assert not real.is_symlink()
    assert real.read_bytes() == b"new"
    assert os.listdir(tmp_path / "far") == ["real"]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def circle(path: Path) -> None:
    path.symlink_to(path.with_name("back"))
    path.with_name("back").symlink_to(path)


def protected(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("root writes to what is write-protected")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.mkdir, "it is a folder"),
        (fifo, "it is a pipe"),
        (listening, "it is a socket"),
        (circle, "circle"),
        (lambda path: path.symlink_to(os.devnull), "it is a device"),
        (lambda path: path.symlink_to("nowhere/f"), "there is no folder"),
        (lambda path: path.symlink_to("/dev/stdout"), "open stream"),
        (lambda path: path.symlink_to("/proc/self/fd/1"), "open stream"),
        (protected, "it is write-protected"),
    ],
)
def test_what_is_no_file_is_refused_and_left_alone(make, says: str, tmp_path: Path) -> None:
    place = tmp_path / "f"
    make(place)
    before = place.lstat()
    for act in (target_of, write):
        with pytest.raises(OutputError, match=says) as caught:
            act(place)
        assert str(place) in str(caught.value)
        assert caught.value.remedy
    assert (place.lstat().st_mode, place.lstat().st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_devices_and_open_streams_are_refused(path: str) -> None:
    before = os.lstat(path).st_rdev
    with pytest.raises(OutputError, match=r"a device|open stream|write-protected|no folder"):
        target_of(path)
    assert os.lstat(path).st_rdev == before


@pytest.mark.parametrize("name", ["nowhere/f", "x" * 300, "nul\0", "file/f", ""])
def test_what_can_be_no_file_is_one_sentence(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        target_of(name)
    assert "\n" not in str(caught.value)
    assert os.listdir() == ["file"]


def test_a_folder_without_permission_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="write-protected"):
        target_of(tmp_path / "model.pt")


@pytest.mark.parametrize("error", [RuntimeError("half way"), KeyboardInterrupt()])
def test_failure_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"before")

    def half(file) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_whole(path, half)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.pt"]


def test_full_disk_is_one_sentence_with_a_remedy(tmp_path: Path) -> None:
    def full(_file) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device") as caught:
        write_whole(tmp_path / "model.pt", full)
    assert caught.value.remedy
    assert os.listdir(tmp_path) == []
