"""Importing what a person named: classes for ``--allow``, factories for ``--model``.

The working directory comes first on the path for the time of the import, as it does for
``python -m``: the console script does not put it there.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, LoadError, UnsafeFileError, UsageError
from bnfuse.loading.consent import refuse_to_allow
from bnfuse.loading.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["build_module", "import_allowed", "working_directory_on_path"]


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


def import_allowed(dotted: str) -> Any:
    """The class or function ``dotted``, importing the module that holds it and nothing else.

    Raises:
        LoadError: There is no such module or no such name in it, or importing it fails.
        UnsafeFileError: The name leads to something that ``--allow`` does not take.
    """
    parts = dotted.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = _import(".".join(parts[:end]), asked=dotted)
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


def build_module(spec: str) -> nn.Module:
    """Call the factory that ``--model`` names.

    Args:
        spec: ``package.module:factory`` or ``package.module:factory(key=value, …)`` with literals.

    Raises:
        UsageError: ``spec`` is not of that form.
        LoadError: The factory cannot be imported, fails, or returns no module.
    """
    from torch import nn

    module_name, name, args, keywords = _parse_factory(spec)
    with working_directory_on_path():
        module = _import(module_name, asked=spec, option="--model")
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


def _import(module: str, asked: str, option: str = "--allow") -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise LoadError(
            f"{option} {asked}: importing {module} fails: {error}.",
            f"Install {error.name}, or put it on PYTHONPATH." if error.name else "",
        ) from error
    except Exception as error:
        raise LoadError(
            f"{option} {asked}: importing {module} fails with {type(error).__name__}: "
            f"{first_line(error)}."
        ) from error


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
