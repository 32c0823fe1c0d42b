"""I am the door that bytes come in by: strict JSON of a known shape, or a fault that says what is wrong.
I may import msgspec and json.
I must not let an exception out, whatever the bytes are.
My tests are in tests/unit/adapters/oanda/test_parsing.py.
"""

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

REASON_CHARACTERS_MAX = 300

M = TypeVar("M")
T = TypeVar("T")


class ParseFault(msgspec.Struct, frozen=True, kw_only=True):
    """What came is not what the protocol says; nothing of it may be used."""

    reason: str


def read(body: bytes, shape: type[M], convert: Callable[[M], T], what: str) -> T | ParseFault:
    """Decode a whole body and convert it; `what` names the body in the reason of a fault.

    Faults are bytes that are not UTF-8 or not JSON, NaN, a key that comes twice in one object (msgspec alone would
    take the last), nesting without end, and every ValueError or ArithmeticError of `convert`.
    """
    try:
        message = msgspec.json.decode(body, type=shape)
        json.loads(body.decode(), object_pairs_hook=_refuse_repeated_keys, parse_constant=_refuse_constant)
        return convert(message)
    except (ValueError, ArithmeticError, RecursionError) as error:
        return ParseFault(reason=f"{what} cannot be read: {error}"[:REASON_CHARACTERS_MAX])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _refuse_repeated_keys(members: Sequence[tuple[str, object]]) -> None:
    if len(members) != len({key for key, _ in members}):
        names = [key for key, _ in members]
        raise ValueError(f"key {next(key for key in names if names.count(key) > 1)[:60]!r} comes twice in one object")
