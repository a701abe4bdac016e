"""Values of a pickle that was written by a stranger, read without `pickle`.

A pickle is a program for a small stack machine. This one knows the third of its instructions that
plain values need. It imports nothing and calls nothing: names and calls become `Name` and `Call`,
which the caller may interpret.

Source: the instructions are those of `pickletools` in Python's standard library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

MAX_INSTRUCTIONS = 200_000
"""Of one pickle. A network of 400 tensors takes 12,000; each may cost some hundred bytes."""

LONGEST_NAME = 100
"""Bytes of a line with a module's or a class' name."""

ORDERED_DICTIONARY = "collections.OrderedDict"


class PickleFault(ValueError):  # noqa: N818 - never leaves this room: readers make their own of it
    """A pickle that is cut off, contradicts itself or asks for more than plain values."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that a pickle names; it is not looked up."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that a pickle asks for; it is not made."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a pickle says about an object outside of it."""

    description: Any


class PickleReader:
    """Reads pickles that stand in a row.

    Attributes:
        place: Where in the content the next one begins.
    """

    def __init__(self, content: bytes, names: Collection[str]) -> None:
        """Begin at the first byte.

        Args:
            content: Pickles of protocol 2, with anything behind them.
            names: Classes and functions that may be named, as ``"module.name"``.
        """
        self.place = 0
        self._content = content
        self._names = frozenset(names)
        self._stack: list[Any] = []
        self._waiting: list[list[Any]] = []
        self._memory: dict[int, Any] = {}

    def read(self) -> Any:
        """Read one pickle.

        Returns:
            Dictionaries with keys of text, lists, tuples, texts, whole numbers, booleans and None,
            and `Name`, `Call` and `Reference` in between.

        Raises:
            PickleFault: It is no such pickle.
        """
        self._stack, self._waiting, self._memory = [], [], {}
        for _ in range(MAX_INSTRUCTIONS):
            code = self.take(1)[0]
            if code == STOP:
                if len(self._stack) != 1 or self._waiting:
                    raise PickleFault("ends with values left over")
                return self._stack.pop()
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise PickleFault(
                    f"has the instruction {code:#04x}, which plain values do not need"
                )
            instruction(self)
        raise PickleFault(f"has more than {MAX_INSTRUCTIONS:,} instructions")

    def take(self, count: int) -> bytes:
        """Return the next bytes, all of them.

        Raises:
            PickleFault: The content ends before.
        """
        self.skip(count)
        return self._content[self.place - count : self.place]

    def skip(self, count: int) -> None:
        """Leave out the next bytes.

        Raises:
            PickleFault: The content ends before.
        """
        if count > len(self._content) - self.place:
            raise PickleFault("is cut off")
        self.place += count

    def check_end(self) -> None:
        """Refuse content that goes on.

        Raises:
            PickleFault: There are more bytes.
        """
        if self.place != len(self._content):
            raise PickleFault("goes on behind its end")

    def take_number(self, form: str) -> int:
        """Return the next number; its form is one of `struct`."""
        number: int = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]
        return number

    def _line(self) -> str:
        end = self._content.find(b"\n", self.place, self.place + LONGEST_NAME)
        if end < 0:
            raise PickleFault("has a name without an end")
        line = self.take(end + 1 - self.place)[:-1]
        return line.decode("ascii", "replace")

    def pop(self) -> Any:
        """Take the last value."""
        if not self._stack:
            raise PickleFault("takes a value that is not there")
        return self._stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take the values since the mark."""
        if not self._waiting:
            raise PickleFault("ends a list that did not begin")
        values, self._stack = self._stack, self._waiting.pop()
        return values

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise PickleFault(f"fills a {kind.__name__} that is not there")
        return self._stack[-1]

    # --- instructions

    def check_protocol(self) -> None:
        """Refuse any protocol but the second."""
        if self.take(1)[0] != 2:
            raise PickleFault("is not of protocol 2")

    def push(self, value: Any) -> None:
        """Put a value onto the stack."""
        self._stack.append(value)

    def push_mark(self) -> None:
        """Begin a list of values."""
        self._waiting.append(self._stack)
        self._stack = []

    def remember(self, form: str) -> None:
        """Keep the value on top under a number."""
        number = self.take_number(form)
        if not self._stack:
            raise PickleFault("keeps a value that is not there")
        self._memory[number] = self._stack[-1]

    def recall(self, form: str) -> None:
        """Push a value that was kept."""
        number = self.take_number(form)
        if number not in self._memory:
            raise PickleFault("recalls a value that it did not keep")
        self.push(self._memory[number])

    def push_text(self) -> None:
        """Push a text of UTF-8."""
        try:
            self.push(self.take(self.take_number("I")).decode())
        except UnicodeDecodeError as error:
            raise PickleFault("has a text that is not UTF-8") from error

    def push_long(self) -> None:
        """Push a whole number of up to 255 bytes."""
        self.push(int.from_bytes(self.take(self.take_number("B")), "little", signed=True))

    def push_tuple(self, count: int) -> None:
        """Push the last values as a tuple."""
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def set_items(self, values: list[Any]) -> None:
        """Fill the dictionary on top of the stack."""
        target = self._top(dict)
        if len(values) % 2:
            raise PickleFault("has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Hashing a tuple of tuples that share their parts could take for ever.
            if type(key) is not str:
                raise PickleFault("has a key that is not text")
            target[key] = value

    def set_item(self) -> None:
        """Fill it with the last two values."""
        value = self.pop()
        self.set_items([self.pop(), value])

    def append(self) -> None:
        """Append the last value to the list below it."""
        value = self.pop()
        self._top(list).append(value)

    def append_all(self) -> None:
        """Append the values since the mark to the list below it."""
        values = self.pop_to_mark()
        self._top(list).extend(values)

    def push_name(self) -> None:
        """Push a name, if it is one of the allowed."""
        text = f"{self._line()}.{self._line()}"
        if text not in self._names:
            raise PickleFault(f"names {ascii(text)[:80]}, which no weights need")
        self.push(Name(text))

    def push_call(self) -> None:
        """Push a call, or the empty dictionary that it would make."""
        arguments, function = self.pop(), self.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise PickleFault("calls what is not a function")
        if function.text != ORDERED_DICTIONARY:
            self.push(Call(function.text, arguments))
        elif arguments:
            raise PickleFault("makes a dictionary of values")
        else:
            self.push({})

    def drop_state(self) -> None:
        """Leave out what a dictionary carries beside its items."""
        self.pop()
        self._top(dict)


STOP = ord(".")

INSTRUCTIONS: dict[int, Callable[[PickleReader], None]] = {
    0x80: PickleReader.check_protocol,
    ord("("): PickleReader.push_mark,
    ord("N"): lambda reader: reader.push(None),
    0x88: lambda reader: reader.push(True),
    0x89: lambda reader: reader.push(False),
    ord("K"): lambda reader: reader.push(reader.take_number("B")),
    ord("M"): lambda reader: reader.push(reader.take_number("H")),
    ord("J"): lambda reader: reader.push(reader.take_number("i")),
    0x8A: PickleReader.push_long,
    ord("X"): PickleReader.push_text,
    ord(")"): lambda reader: reader.push(()),
    0x85: lambda reader: reader.push_tuple(1),
    0x86: lambda reader: reader.push_tuple(2),
    0x87: lambda reader: reader.push_tuple(3),
    ord("t"): lambda reader: reader.push(tuple(reader.pop_to_mark())),
    ord("]"): lambda reader: reader.push([]),
    ord("a"): PickleReader.append,
    ord("e"): PickleReader.append_all,
    ord("}"): lambda reader: reader.push({}),
    ord("s"): PickleReader.set_item,
    ord("u"): lambda reader: reader.set_items(reader.pop_to_mark()),
    ord("q"): lambda reader: reader.remember("B"),
    ord("r"): lambda reader: reader.remember("I"),
    ord("h"): lambda reader: reader.recall("B"),
    ord("j"): lambda reader: reader.recall("I"),
    ord("c"): PickleReader.push_name,
    ord("R"): PickleReader.push_call,
    ord("b"): PickleReader.drop_state,
    ord("Q"): lambda reader: reader.push(Reference(reader.pop())),
}
"""What each instruction does, by its byte."""
