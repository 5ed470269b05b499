"""Where things are printed: results to stdout, progress to stderr."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnfuse.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.text import Text

__all__ = ["Terminal", "imports_announced", "results_only"]


@contextmanager
def results_only() -> Iterator[None]:
    """Keep stdout for results: what a model prints while it runs goes to stderr."""
    with redirect_stdout(sys.stderr):
        yield


class _Echo(logging.Handler):
    """Prints on stderr as it is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        sys.stderr.write(f"{record.getMessage()}\n")


@contextmanager
def imports_announced(quiet: bool) -> Iterator[None]:
    """Print on stderr which of the user's own files are about to be imported."""
    logger, echo = logging.getLogger("bnfuse"), _Echo()
    before = logger.level
    logger.addHandler(echo)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(echo)
        logger.setLevel(before)


@dataclass
class Terminal:
    """Two consoles and how much to say on them.

    ``rich`` drops colour and live displays where the stream is not a terminal or ``NO_COLOR`` is
    set, so nothing here asks about either.
    """

    quiet: bool = False
    verbosity: int = 0
    results_on_stderr: bool = False
    """Because stdout is to have a file."""

    @property
    def out(self) -> Console:
        """Results, for a person or a pipe."""
        return _console(stderr=self.results_on_stderr, quiet=self.quiet)

    @property
    def err(self) -> Console:
        """Progress, warnings and errors' context."""
        return _console(stderr=True, quiet=self.quiet)

    def say(self, line: str) -> None:
        """One line on stderr, however quiet: why the exit code is not 0."""
        sys.stderr.write(f"{printable(line)}\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """One line on stderr when the stage is over: its name, what it found, its seconds."""
        start = time.perf_counter()
        stage = Stage()
        if self.quiet:
            yield stage
            return
        with self.err.status(_Moving(name, stage, start)):
            yield stage
        seconds = time.perf_counter() - start
        self.err.print(
            f"[bold]{name:<8}[/]{stage.detail}  [dim]{seconds:.1f} s[/]",
            highlight=False,
            soft_wrap=True,
        )


@dataclass
class Stage:
    """What a stage wants said of it on its line, in console markup, and of how far it is."""

    detail: str = ""
    _what: str = ""
    _done: int = 0
    _total: int = 0
    _since: float = field(default_factory=time.perf_counter)

    def reached(self, done: int, total: int) -> None:
        """Tell how much is done."""
        if done <= self._done:
            self._since = time.perf_counter()
        self._done, self._total = done, total

    def doing(self, text: str) -> None:
        """Tell what the stage is at."""
        self._what = text

    def told(self, now: float) -> str:
        """Return what the stage is at, how far, and how long that takes yet if it goes on so."""
        parts = [self._what] if self._what else []
        if self._total:
            parts.append(f"{self._done} of {self._total}")
        left = (now - self._since) * (self._total - self._done) / max(self._done, 1)
        if self._done and left >= 1:
            parts.append(f"about {left:.0f} s left")
        return ", ".join(parts)


@dataclass(frozen=True)
class _Moving:
    """A line that is written anew each time it is shown, so that its seconds move."""

    name: str
    stage: Stage
    start: float

    def __rich__(self) -> Text:
        from rich.text import Text

        now = time.perf_counter()
        line = f"{self.name} … {self.stage.told(now)}".rstrip()
        return Text(f"{line}  {now - self.start:.0f} s", no_wrap=True, overflow="ellipsis")


def _console(stderr: bool, quiet: bool) -> Console:
    from rich.console import Console

    from bnfuse.columns import unbounded_in_pipes

    # Made anew each time: the streams may have been replaced since (tests, redirection).
    return unbounded_in_pipes(Console(stderr=stderr, quiet=quiet, emoji=False))
