"""Importing what a person named: classes for ``--allow``, factories for ``--model``.

The working directory comes first on the path for the time of the import, as it does for
``python -m``: the console script does not put it there.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, LoadError, UnsafeFileError, UsageError
from bnfuse.loading.consent.agreement import refuse_to_allow
from bnfuse.loading.consent.origins import origins_of
from bnfuse.wording import few, first_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["build_module", "import_allowed", "working_directory_on_path"]

_LOGGER = logging.getLogger("bnfuse")


@contextlib.contextmanager
def working_directory_on_path() -> Iterator[None]:
    """The working directory first on ``sys.path`` while inside."""
    here = os.getcwd()
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def import_allowed(dotted: str, trust: bool = False) -> Any:
    """The class or function ``dotted``, importing the module that holds it and nothing else.

    Args:
        dotted: The name.
        trust: Whether the module may run more than definitions when it is imported.

    Raises:
        LoadError: There is no such module or no such name in it, or importing it fails.
        UnsafeFileError: The name leads to something that ``--allow`` does not take, or importing
            its module would run more than definitions.
    """
    parts = dotted.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = _import(".".join(parts[:end]), f"--allow {dotted}", trust)
        if module is None:
            continue
        found = module
        for part in parts[end:]:
            found = getattr(found, part, None)
        if found is not None:
            _check_identity(dotted, found)
            return found
        raise LoadError(
            f"--allow {dotted}: the module {'.'.join(parts[:end])} has no {'.'.join(parts[end:])}.",
            f"Give the name under which it can be imported today: --allow {dotted}=module.Class.",
        )
    raise LoadError(
        f"--allow {dotted}: there is no module {parts[0]} in the working directory, on PYTHONPATH "
        "or among the installed packages.",
        "Run bnfuse in the folder that holds it, or set PYTHONPATH.",
    )


def build_module(spec: str, trust: bool = False) -> nn.Module:
    """Call the factory that ``--model`` names.

    Args:
        spec: ``package.module:factory`` or ``package.module:factory(key=value, …)`` with literals.
        trust: Whether the module may run more than definitions when it is imported.

    Raises:
        UsageError: ``spec`` is not of that form.
        UnsafeFileError: Importing the module would run more than definitions.
        LoadError: The factory cannot be imported, fails, or returns no module.
    """
    from torch import nn

    module_name, name, args, keywords = _parse_factory(spec)
    with working_directory_on_path():
        module = _import(module_name, f"--model {spec}", trust)
        if module is None:
            raise LoadError(
                f"--model {spec}: there is no module {module_name} in the working directory, on "
                "PYTHONPATH or among the installed packages.",
                "Run bnfuse in the folder that holds it, or set PYTHONPATH.",
            )
        factory: Any = module
        for part in name.split("."):
            factory = getattr(factory, part, None)
        if not callable(factory):
            raise LoadError(
                f"--model {spec}: {module_name} has no class or function {name}.",
                f"It has {_callables(module)}.",
            )
        try:
            made = factory(*args, **keywords)
        except BnfuseError:
            raise
        except Exception as error:
            raise LoadError(
                f"--model {spec} fails with {type(error).__name__}: {first_line(error)}.",
                f'Give its arguments as literals: --model "{module_name}:{name}(key=value)".',
            ) from error
    if not isinstance(made, nn.Module):
        raise LoadError(f"--model {spec} returns a {type(made).__name__}, not an nn.Module.")
    return made


def _parse_factory(spec: str) -> tuple[str, str, list[Any], dict[str, Any]]:
    form = (
        "Write --model package.module:factory or package.module:factory(key=value), with literals."
    )
    module, colon, call = spec.partition(":")
    if colon and (module.endswith(".py") or "/" in module):
        parts = Path(module).with_suffix("").parts
        named = ".".join(parts if all(part.isidentifier() for part in parts) else parts[-1:])
        raise UsageError(
            f"--model {spec!r} names a file, and a module is wanted.",
            f"Write --model {shlex.quote(f'{named}:{call}')}, in the folder that holds it.",
        )
    if not colon or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"--model {spec!r} does not name a module and a factory in it.", form)
    args: list[Any] = []
    keywords: dict[str, Any] = {}
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if isinstance(node, ast.Call):
            args = [ast.literal_eval(arg) for arg in node.args]
            if any(keyword.arg is None for keyword in node.keywords):
                raise ValueError("**keywords")
            keywords = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            node = node.func
        name = ast.unparse(node)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UsageError(f"--model {spec!r} is not a call with literal arguments.", form) from error
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"--model {spec!r} does not name a factory.", form)
    return module, name, args, keywords


def _import(module: str, asked: str, trust: bool) -> Any:
    if module not in sys.modules:
        _announce(module, asked, trust)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise LoadError(
            f"{asked}: importing {module} fails: {error}.",
            f"Install {error.name}, or put it on PYTHONPATH." if error.name else "",
        ) from error
    except Exception as error:
        raise LoadError(
            f"{asked}: importing {module} fails with {type(error).__name__}: {first_line(error)}."
        ) from error


def _announce(module: str, asked: str, trust: bool) -> None:
    """Say what an import will run, before it does, and refuse what runs more than definitions."""
    files = origins_of(module)
    acting = [(file.path, effect) for file in files for effect in file.effects]
    told = [f"{_near(path)}:{effect.line} calls {effect.call}" for path, effect in acting]
    if acting and not trust:
        raise UnsafeFileError(
            f"{asked} would run more than definitions: {few(told)}.",
            'Put that under `if __name__ == "__main__":`, or, to have it run on import all the '
            "same, add --trust.",
        )
    if files:
        runs = f", which runs it: {few(told)}" if told else ""
        names = few([_near(file.path) for file in files])
        _LOGGER.info("%s imports %s%s", printable(asked), printable(names), printable(runs))


def _near(path: Path) -> str:
    """A path as it is seen from the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _check_identity(dotted: str, found: Any) -> None:
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        raise UnsafeFileError(
            f"--allow does not take {dotted}: it is a {type(found).__name__}, not a class."
        )
    refuse_to_allow(
        f"{getattr(found, '__module__', None) or 'builtins'}.{getattr(found, '__qualname__', '')}"
    )


def _callables(module: Any) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]
    return ", ".join(names[:8]) if names else "none of its own"
