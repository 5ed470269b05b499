"""Bare virtual environments in which exactly what is named is installed."""

from __future__ import annotations

import os
import subprocess
import venv
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

from forks import TORCH, Server
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Environment:
    """A virtual environment and a shell in which it is active.

    Attributes:
        folder: Where it is.
        server: What runs bnfuse and scripts of Python in the shell instead of a new process that
            imports everything, if anything does.
    """

    folder: Path
    server: Server | None = None

    def served(self) -> Environment:
        """The same where bnfuse and scripts of Python run in forks of one process of it."""
        return replace(self, server=Server(str(self.folder / "bin/python"), TORCH))

    @property
    def site(self) -> Path:
        (site,) = self.folder.glob("lib/python*/site-packages")
        return site

    def distributions(self) -> dict[str, str]:
        """What is installed, by name, and its version."""
        return _versions(distributions(path=[str(self.site)]))

    def shell(self, command: str, where: Path) -> subprocess.CompletedProcess[str]:
        """Run a line as a person types it, in the folder ``where``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        first = [self.server.commands] if self.server else []
        path = [*first, self.folder / "bin", os.environ["PATH"]]
        ran = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=where,
            env={
                **kept,
                "PATH": os.pathsep.join(map(str, path)),
                "PIP_CONSTRAINT": str(self.folder / "constraints.txt"),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if self.server:
            self.server.account()
        return ran

    def run(self, command: str, where: Path) -> str:
        """Run a line that has to succeed, and return its stdout."""
        ran = self.shell(command, where)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def python(self, code: str, where: Path) -> str:
        return self.run(f"python -c '{code}'", where)


def bare(folder: Path, requirements: list[str]) -> Environment:
    """Make an environment that holds pip and what satisfies ``requirements``, by links.

    Args:
        folder: Where; its parents exist.
        requirements: Of distributions that are installed where this runs. What they require in
            turn is linked as well; any other distribution is absent.
    """
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    # Another version would be written through the links, into what runs this.
    here = _versions(distributions()).items()
    lines = [f"{name}=={version}\n" for name, version in here if name != "bnfuse"]
    (folder / "constraints.txt").write_text("".join(lines))
    for found in closure([*requirements, "pip"]):
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = made.site / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))).resolve())
    pip = folder / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m pip "$@"\n')
    pip.chmod(0o755)
    return made


def _versions(found: Iterable[Distribution]) -> dict[str, str]:
    return {canonicalize_name(one.name): one.version for one in found}


def closure(requirements: list[str]) -> list[Distribution]:
    """The installed distributions that satisfy ``requirements``, theirs included."""
    waiting = [Requirement(text) for text in requirements]
    seen: dict[tuple[str, str], Distribution] = {}
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            key = canonicalize_name(requirement.name), extra
            if key in seen:
                continue
            seen[key] = distribution(requirement.name)
            waiting += wanted(seen[key].requires or [], extra)
    return list({id(found): found for found in seen.values()}.values())


def wanted(requires: list[str], extra: str = "") -> list[Requirement]:
    """Those of a distribution's requirements that hold here and with ``extra``."""
    parsed = map(Requirement, requires)
    return [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": extra})]
