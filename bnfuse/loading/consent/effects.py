"""What importing a Python file would do, read from its syntax tree: nothing of it is run.

Definitions, imports and constants are what a module is made of; calls that are known to compute or
to set something up are let pass, and so are calls of the file's own functions that make no others.
Whatever else is called at the top level, outside ``if __name__ == "__main__"``, is reported: a
script without that guard trains its model again when it is imported.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Effect", "effects_of"]

_BUILTIN_NAMES = """
    abs all any bool bytes callable chr complex dict dir divmod enumerate filter float format
    frozenset getattr hasattr hash hex id int isinstance issubclass iter len list map max min next
    object oct ord pow print property range repr reversed round set setattr slice sorted str sum
    super tuple type vars zip
"""
_PURE_BUILTINS = frozenset(_BUILTIN_NAMES.split()) | {
    name for name in dir(builtins) if name.endswith(("Error", "Warning", "Exception"))
}

_MODULE_NAMES = """
    abc collections contextlib copy dataclasses datetime decimal einops enum fractions functools
    itertools logging math numbers numpy operator os.path pathlib platform random re string
    textwrap time torch types typing typing_extensions uuid warnings
"""
_PURE_MODULES = tuple(_MODULE_NAMES.split())
"""Modules whose functions compute values or settings, but for those in :data:`_ACTING`."""

_CALL_NAMES = """
    json.load json.loads os.cpu_count os.environ.get os.environ.setdefault os.getcwd os.getenv
    re.compile sys.path.append sys.path.insert yaml.safe_load
"""
_PURE_CALLS = frozenset(_CALL_NAMES.split())

_ACTING_NAMES = """
    bottleneck compile cpp_extension data distributed download elastic export FileHandler fromfile
    genfromtxt hub jit launch load load_inline load_library load_url loadtxt memmap mkdir
    model_zoo monitor multiprocessing optim profiler rename rmdir rpc run_module save savetxt
    savez savez_compressed sleep spawn testing tofile touch unlink write_bytes write_text
"""
_ACTING = frozenset(_ACTING_NAMES.split())
"""Parts of a dotted name that reach files, processes or the network, or run for long."""

_METHOD_NAMES = """
    __init__ add addHandler append as_posix bfloat16 bool capitalize children clone copy count cpu
    cuda decode detach double encode endswith eval exists expanduser extend find flatten float
    format freeze get half index insert int is_available is_dir is_file items join joinpath keys
    long lower lstrip mean modules named_modules named_parameters numel numpy parameters partition
    permute pop pow register relative_to remove requires_grad_ reshape resolve reverse rsplit
    rstrip setdefault setLevel size sort split splitlines sqrt squeeze startswith state_dict std
    strip sum title to tolist transpose type union unsqueeze update upper values view with_name
    with_suffix
"""
_PURE_METHODS = frozenset(_METHOD_NAMES.split())
"""Methods of strings, containers, paths, tensors and modules that change nothing else."""


@dataclass(frozen=True)
class Effect:
    """A call that importing the file makes.

    Attributes:
        line: Where, from 1.
        call: What is called, as it is written, cut to a readable length.
    """

    line: int
    call: str


def effects_of(tree: ast.Module) -> tuple[Effect, ...]:
    """The calls that importing a file makes and that are not known to be harmless, in order."""
    file = _File.of(tree)
    found = {Effect(call.lineno, _written(call)): None for call in file.calls_in(tree.body)}
    return tuple(sorted(found, key=lambda effect: effect.line))


@dataclass
class _File:
    """The names that a file gives to things.

    Attributes:
        imported: The dotted name that each imported one stands for.
        functions: Its own functions, by name.
        classes: Its own classes.
        judged: Its functions of which it is known, or being found out, whether they act.
    """

    imported: dict[str, str] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    judged: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: ast.Module) -> _File:
        file = cls()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    file.imported[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    file.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                file.functions[node.name] = node
            elif isinstance(node, ast.ClassDef):
                file.classes.add(node.name)
        return file

    def calls_in(self, body: Sequence[ast.AST]) -> Iterator[ast.Call]:
        """The calls that running these nodes makes and that are not known to be harmless."""
        for node in body:
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # A decorator wraps what follows it; defaults are computed at once.
                defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
                yield from self.calls_in(defaults)
            elif isinstance(node, ast.ClassDef):
                yield from self.calls_in([*node.bases, *node.keywords, *node.body])
            elif isinstance(node, ast.If) and _is_guard(node.test):
                yield from self.calls_in(node.orelse)
            else:
                if isinstance(node, ast.Call) and not self._is_harmless(node):
                    yield node
                yield from self.calls_in(list(ast.iter_child_nodes(node)))

    def _is_harmless(self, call: ast.Call) -> bool:
        function = call.func
        if isinstance(function, ast.Lambda):
            return not list(self.calls_in([function.body]))
        dotted = _dotted(function)
        root, _, rest = dotted.partition(".")
        if root in self.imported:
            return _is_pure(".".join(part for part in (self.imported[root], rest) if part))
        if dotted == "open":
            return _only_reads(call)
        if isinstance(function, ast.Name):
            if root in self.functions:
                return self._does_nothing(root)
            return root in self.classes or root in _PURE_BUILTINS
        # Of a value: a method that no model overrides with one that acts.
        return isinstance(function, ast.Attribute) and function.attr in _PURE_METHODS

    def _does_nothing(self, name: str) -> bool:
        if name not in self.judged:
            # One that calls itself is judged by the rest of it.
            self.judged[name] = True
            self.judged[name] = not list(self.calls_in(self.functions[name].body))
        return self.judged[name]


def _is_guard(test: ast.expr) -> bool:
    """Whether this is ``__name__ == "__main__"``, alone or with more conditions."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(map(_is_guard, test.values))
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    sides = [test.left, test.comparators[0]]
    names = [node.id for node in sides if isinstance(node, ast.Name)]
    texts = [node.value for node in sides if isinstance(node, ast.Constant)]
    return isinstance(test.ops[0], ast.Eq) and names == ["__name__"] and texts == ["__main__"]


def _is_pure(dotted: str) -> bool:
    if dotted in _PURE_CALLS:
        return True
    pure = any(dotted == name or dotted.startswith(f"{name}.") for name in _PURE_MODULES)
    return pure and _ACTING.isdisjoint(dotted.split("."))


def _only_reads(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
    return all(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) <= {*"rbt"}
        for mode in modes
    )


def _dotted(function: ast.expr) -> str:
    """The name that is called, or the empty string where the callee is computed."""
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute) and (inner := _dotted(function.value)):
        return f"{inner}.{function.attr}"
    return ""


def _written(call: ast.Call) -> str:
    text = " ".join(ast.unparse(call).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
