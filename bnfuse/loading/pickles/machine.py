"""The pickle virtual machine, run over names instead of objects."""

from __future__ import annotations

import _compat_pickle
from typing import TYPE_CHECKING, Any

from bnfuse.loading.pickles.symbols import (
    Call,
    Global,
    MalformedPickleError,
    Pairs,
    Sequence,
    Storage,
    Tuple,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Machine", "modern"]

_MAX_TUPLE_DEPTH = 64
_MAX_TUPLE_WEIGHT = 1 << 20
"""Tuples that share their parts can stand for 2**64 values in a hundred bytes; hashing one of
them never ends, so neither reaches the real unpickler."""

_LITERAL_NAMES = """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES
    SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT
    BINFLOAT
"""
_LITERALS = frozenset(_LITERAL_NAMES.split())
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": Sequence,
    "EMPTY_SET": Sequence,
    "EMPTY_DICT": Pairs,
    "EMPTY_TUPLE": lambda: Tuple([]),
}
_SILENT = frozenset({"PROTO", "FRAME", "STOP", "READONLY_BUFFER"})


def modern(module: str, name: str) -> Global:
    """A global by the name that Python 3 has for it, as unpicklers translate it."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return Global(*_compat_pickle.NAME_MAPPING[module, name])
    return Global(_compat_pickle.IMPORT_MAPPING.get(module, module), name)


class Machine:
    """A stack, a memo, and a record of every import and call.

    Attributes:
        stack: What has been made so far; the result when the pickle has ended.
        globals: Each import, in the order of its first appearance.
        calls: Every object made by a call.
        builds: The type of each target of ``BUILD`` that is not one of ``calls``.
        opcodes: Names of the opcodes executed.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.globals: dict[Global, None] = {}
        self.calls: list[Call] = []
        self.builds: list[str] = []
        self.opcodes: set[str] = set()

    def step(self, name: str, argument: Any) -> None:
        """Execute one operation.

        Raises:
            MalformedPickleError: It is unknown or made to exhaust its reader.
            IndexError, KeyError, TypeError, ValueError, AttributeError: It does not fit the stack.
        """
        self.opcodes.add(name)
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name not in _SILENT:
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise MalformedPickleError(f"it uses the opcode {name}")
            handler(argument)

    def _take_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _push_call(self, maker: Any, opcode: str, args: Any) -> None:
        if not isinstance(args, Tuple):
            raise MalformedPickleError("it calls something without a tuple of arguments")
        call = Call(maker if isinstance(maker, Global) else None, opcode, list(args.items))
        self.calls.append(call)
        self.stack.append(call)

    def _push_global(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise MalformedPickleError("it computes a name to import")
        found = modern(module, name)
        self.globals.setdefault(found)
        self.stack.append(found)

    def _push_tuple(self, items: list[Any]) -> None:
        inner = [item for item in items if isinstance(item, Tuple)]
        depth = 1 + max((item.depth for item in inner), default=0)
        weight = 1 + len(items) + sum(item.weight for item in inner)
        if depth > _MAX_TUPLE_DEPTH or weight > _MAX_TUPLE_WEIGHT:
            raise MalformedPickleError("its tuples are nested to exhaust the reader")
        self.stack.append(Tuple(items, depth, weight))

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop_mark(self, _: Any) -> None:
        self._take_mark()

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._take_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _put = _long_binput = _binput

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _get = _long_binget = _binget

    def _tuple(self, _: Any) -> None:
        self._push_tuple(self._take_mark())

    def _tuple1(self, _: Any) -> None:
        self._push_tuple([self.stack.pop()])

    def _tuple2(self, _: Any) -> None:
        last = self.stack.pop()
        self._push_tuple([self.stack.pop(), last])

    def _tuple3(self, _: Any) -> None:
        last, middle = self.stack.pop(), self.stack.pop()
        self._push_tuple([self.stack.pop(), middle, last])

    def _list(self, _: Any) -> None:
        items = self._take_mark()
        self.stack.append(Sequence(items))

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        items = self._take_mark()
        self.stack.append(Pairs(_paired(items)))

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self.stack[-1].items.append(item)

    def _appends(self, _: Any) -> None:
        items = self._take_mark()
        self.stack[-1].items.extend(items)

    _additems = _appends

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1].pairs.append((key, value))

    def _setitems(self, _: Any) -> None:
        items = self._take_mark()
        self.stack[-1].pairs.extend(_paired(items))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._push_global(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._push_global(module, name)

    def _inst(self, argument: str) -> None:
        args = self._take_mark()
        self._global(argument)
        self._push_call(self.stack.pop(), "INST", Tuple(args))

    def _obj(self, _: Any) -> None:
        maker, *args = self._take_mark()
        self._push_call(maker, "OBJ", Tuple(args))

    def _reduce(self, _: Any) -> None:
        args, maker = self.stack.pop(), self.stack.pop()
        self._push_call(maker, "REDUCE", args)

    def _newobj(self, _: Any) -> None:
        args, maker = self.stack.pop(), self.stack.pop()
        self._push_call(maker, "NEWOBJ", args)

    def _newobj_ex(self, _: Any) -> None:
        keywords, args, maker = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._push_call(maker, "NEWOBJ_EX", args)
        self.calls[-1].args.append(keywords)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Call):
            # A second BUILD must not hide what the first one set.
            target.state = state if target.state is None else Sequence([target.state, state])
        else:
            self.builds.append(type(target).__name__)

    def _binpersid(self, _: Any) -> None:
        identity = self.stack.pop()
        items = identity.items if isinstance(identity, Tuple) else [identity]
        # torch's legacy files keep a class beside its source code in such an id.
        if len(items) > 1 and items[0] in ("module", b"module"):
            self.stack.append(items[1])
        else:
            self.stack.append(Storage(list(items)))

    def _persid(self, identity: str) -> None:
        self.stack.append(Storage([identity]))


def _paired(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))
