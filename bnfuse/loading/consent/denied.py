"""Names that are refused whatever flags are given, and why: an explanation, not the safety.

The safety is that only listed names are imported at all. These lists let the error say that a file
is hostile rather than unfamiliar, and keep ``--allow`` from being talked into a way around it.
"""

from __future__ import annotations

import enum
import sys

from bnfuse.loading.consent.known import HARMLESS, is_storage_type

__all__ = ["Verdict", "judge", "makes_data"]


class Verdict(enum.Enum):
    """What may be done about a name that a file wants to import."""

    HARMLESS = "loads with no flag"
    ASK = "loads with --allow"
    REFUSED = "--allow does not take it: it runs, imports or reads other code"
    FORBIDDEN = "no model needs it: it runs commands or code, or reaches files or the network"


_MODULES_THAT_ACT = """
    _aix_support _ctypes _osx_support _posixsubprocess _socket _thread _winapi asyncio bdb
    builtins cProfile code codeop commands compileall ctypes distutils ensurepip fileinput
    ftplib http idlelib imp importlib lib2to3 linecache mailbox marshal mmap multiprocessing nt
    ntpath os pdb pickle pip pkgutil platform popen2 poplib posix posixpath profile pty
    py_compile pydoc readline runpy sched setuptools shelve shlex shutil signal site smtplib
    socket socketserver sqlite3 ssl subprocess sys sysconfig tarfile telnetlib tempfile
    threading timeit trace turtle urllib venv webbrowser winreg wsgiref xmlrpc zipapp zipfile
    zipimport
"""
_FORBIDDEN_MODULES = frozenset(_MODULES_THAT_ACT.split())
_NEVER_INSIDE = "__builtins__ builtins ctypes importlib os posix shutil socket subprocess sys"
_BUILTINS_LET_BE = frozenset({"getattr", "bytes", "bytearray", "object", "type", "hasattr", "iter"})
"""Builtins that honest pickles hold: refused to ``--allow``, left to ``--trust``."""

_FORBIDDEN_INSIDE = frozenset(_NEVER_INSIDE.split())
"""Modules that a dotted name must not pass through either, as ``torch.os.system`` would."""

_FORBIDDEN_PREFIXES = (
    "numpy.distutils.",
    "numpy.f2py.",
    "numpy.testing.",
    "torch.classes.load_library",
    "torch.hub.",
    "torch.ops.load_library",
    "torch.utils.bottleneck.",
    "torch.utils.collect_env.",
    "torch.utils.cpp_extension.",
    "torch.utils.model_zoo.",
)

_CLOSED_ROOTS = (frozenset(sys.stdlib_module_names) - {"test"}) | {
    "torch",
    "numpy",
    "functorch",
    "dill",
    "cloudpickle",
    "joblib",
    "pandas",
    "IPython",
    "pytest",
    "__builtin__",
}
"""Packages in which ``--allow`` takes only what :data:`_ALLOWABLE` lists. People do call their own
file ``test.py``, so that one name of the standard library is theirs."""

_ALLOWABLE = frozenset(
    {
        "argparse.Namespace",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "decimal.Decimal",
        "fractions.Fraction",
        "functools.partial",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "types.SimpleNamespace",
        "uuid.UUID",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
    }
)

_ALLOWABLE_PREFIXES = (
    "torch.nn.",
    "torch._C._nn.",
    "torch.optim.",
    "torch.ao.nn.",
    "numpy.dtypes.",
)


def makes_data(dotted: str) -> bool:
    """Whether a global is a known class of plain data, such as a date or a NumPy array."""
    return dotted in _ALLOWABLE


def judge(dotted: str) -> Verdict:
    """What may be done about the global ``dotted``, by its name alone."""
    if dotted in HARMLESS or is_storage_type(dotted):
        return Verdict.HARMLESS
    root, _, rest = dotted.partition(".")
    inside = rest.split(".")
    if root in ("builtins", "__builtin__"):
        return Verdict.REFUSED if rest in _BUILTINS_LET_BE else Verdict.FORBIDDEN
    if root in _FORBIDDEN_MODULES or dotted.startswith(_FORBIDDEN_PREFIXES):
        return Verdict.FORBIDDEN
    if not _FORBIDDEN_INSIDE.isdisjoint(inside):
        return Verdict.FORBIDDEN
    if root in _CLOSED_ROOTS:
        listed = dotted in _ALLOWABLE or dotted.startswith(_ALLOWABLE_PREFIXES)
        return Verdict.ASK if listed else Verdict.REFUSED
    return Verdict.ASK
