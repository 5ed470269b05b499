"""The steps of action.yml: install bnfuse, run ``bnfuse verify``, annotate, write the job summary.

Inputs come in environment variables, results go where GitHub's runner says: ``GITHUB_OUTPUT``,
``GITHUB_STEP_SUMMARY`` and workflow commands on stdout. Names of files and outputs are anybody's
words, so none reaches the summary as markup or the runner as a command.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import requires
from pathlib import Path
from typing import Any

USAGE = 2
FOR_PYTORCH = ("torch", "onnxscript", "onnxsim")
LONGEST_NAME, MOST_ROWS = 300, 50
MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️"}


class InputError(Exception):
    """An input of the action makes no sense."""


def install() -> int:
    """Install what the input ``version`` says, without PyTorch where an ONNX file is judged."""
    version = given("VERSION") or "action"
    if version == "installed":
        return 0
    if version.startswith("-"):
        raise InputError(f"version {version!r} is an option; give what pip installs.")
    what = str(Path(__file__).resolve().parents[1]) if version == "action" else version
    if not given("ORIGINAL").endswith(".onnx"):
        return pip(what)
    return pip("--no-deps", what) or pip(*without_pytorch(requires("bnfuse") or []))


def without_pytorch(requirements: list[str]) -> list[str]:
    """What folding and verifying ONNX files needs of bnfuse's requirements."""
    needed = [one for one in requirements if "extra ==" not in one]
    return [one for one in needed if re.split(r"[^\w.-]", one)[0] not in FOR_PYTORCH]


def pip(*arguments: str) -> int:
    """Install with the Python that runs this."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command).returncode


def verify() -> int:
    """Judge the candidate, and say it on every channel that the runner has."""
    folder = tempfile.mkdtemp(prefix="bnfuse-", dir=os.environ.get("RUNNER_TEMP"))
    report = Path(folder, "report.json")
    # -P: what lies in the workspace is no module of bnfuse's.
    command = [sys.executable, "-P", "-m", "bnfuse", *command_line(str(report))]
    # Between these two lines the runner takes nothing that is printed for a command.
    token = secrets.token_hex(16)
    say(f"::stop-commands::{token}")
    code = subprocess.run(command).returncode
    say(f"::{token}::")
    found = read(report)
    if found.get("error"):
        # --help among the arguments ends well, and judges nothing.
        code = code or USAGE
    for line in annotated(found):
        say(line)
    append("GITHUB_STEP_SUMMARY", summary(found))
    verdict = found.get("verdict", "")
    append("GITHUB_OUTPUT", f"verdict={verdict}\nexit-code={code}\nreport={report}\n")
    return code


def command_line(report: str) -> list[str]:
    """The words of ``bnfuse verify``, from the inputs."""
    models = [given("ORIGINAL"), given("CANDIDATE")]
    if not all(models):
        raise InputError("the inputs original and candidate name a file each.")
    try:
        more = shlex.split(given("ARGUMENTS"))
    except ValueError as error:
        raise InputError(f"the input arguments cannot be read: {error}.") from error
    if any(word.partition("=")[0] == "--json" for word in more):
        raise InputError("leave --json out: the output report names the file.")
    providers = [f"--provider={name}" for name in re.split(r"[\s,]+", given("PROVIDERS")) if name]
    return ["verify", *providers, *more, "--json", report, "--", *models]


def read(report: Path) -> dict[str, Any]:
    """The report, or one that says that there is none."""
    try:
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return failed("bnfuse wrote no report; the log above says why.")
    return found


def failed(message: str) -> dict[str, Any]:
    """A report of what ended before bnfuse began."""
    return {"error": {"message": message, "hint": ""}}


def annotated(found: dict[str, Any]) -> list[str]:
    """The lines that annotate the candidate."""
    if found.get("error"):
        return [f"::error title=bnfuse verify::{data(sentence(found['error']))}"]
    # Where there is a verdict bnfuse is installed.
    from bnfuse.verifying import from_json
    from bnfuse.verifying.telling.formats import github_lines

    return github_lines(from_json(found), found["candidate"])


def summary(found: dict[str, Any]) -> str:
    """The job summary, in Markdown."""
    if found.get("error"):
        return f"### ❌ bnfuse verify: error\n\n{plain(sentence(found['error']), None)}\n\n"
    verdict = found["verdict"]
    lines = [
        f"### {MARKS[verdict]} bnfuse verify: {verdict}",
        "",
        f"<code>{plain(found['candidate'])}</code> beside <code>{plain(found['original'])}</code>: "
        f"{plain(found['reason'], None)}",
        "",
        "| provider | optimisation | output | original | candidate | ratio | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [row for parity in found["parity"] for row in table(parity)]
    lines += rows[:MOST_ROWS]
    if len(rows) > MOST_ROWS:
        lines += ["", f"{len(rows) - MOST_ROWS} more rows are in the report."]
    lines += ["", *(f"- {plain(item, None)}" for item in remarks(found)), ""]
    return "\n".join(lines) + "\n"


def table(parity: dict[str, Any]) -> list[str]:
    """One line of the table for each output, or one for a row that did not run."""
    head = f"| {plain(parity['provider'])} | {parity['optimization']} |"
    lines = [
        f"{head} <code>{plain(output['name'])}</code> | {float(output['error_original']):.2e} | "
        f"{float(output['error_candidate']):.2e} | {float(output['ratio']):.2f} | "
        f"{output['verdict']} |"
        for output in parity["outputs"]
    ]
    return lines or [f"{head} | | | | {parity['verdict']} |"]


def remarks(found: dict[str, Any]) -> list[str]:
    """What a reader of the table should know besides."""
    proof = found.get("proof")
    said = [f"proof: {proof['status']}"] if proof else []
    said += [f"truth: {found['truth']['kind']}; seed {found['seed']}"]
    said += [f"note: {warning}" for warning in found["warnings"]]
    if found["verdict"] == "FAIL":
        said += ["bnfuse verify with --localize says at which value the two part"]
    return said


def sentence(error: dict[str, str]) -> str:
    """An error of the report in one line."""
    return " ".join(part for part in (error["message"], error["hint"]) if part)


def plain(text: str, longest: int | None = LONGEST_NAME) -> str:
    """Text that Markdown and HTML read as nothing but text, on one line."""
    text = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    text = "".join(char if char.isprintable() else " " for char in text)
    return re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match[0])};", text)


def data(text: str) -> str:
    """Text as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def given(name: str) -> str:
    """An input of the action."""
    return os.environ.get(f"BNFUSE_{name}", "").strip()


def append(variable: str, text: str) -> None:
    """Write to the file that the runner names, if it names one."""
    if os.environ.get(variable):
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(text)


def say(line: str) -> None:
    """Print a line at once: the runner reads it between those of other processes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(step: str) -> int:
    """Run a step of the action; its exit code is that of what it ran."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        return {"install": install, "verify": verify}[step]()
    except InputError as error:
        found = failed(str(error))
        for line in annotated(found):
            say(line)
        append("GITHUB_STEP_SUMMARY", summary(found))
        append("GITHUB_OUTPUT", f"verdict=\nexit-code={USAGE}\nreport=\n")
        return USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
