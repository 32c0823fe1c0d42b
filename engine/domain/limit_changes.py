"""I am limits as texts and as differences: NAME=VALUE in, what a change loosens and what two sets differ in out.
I may import decimal, difflib, error and limits.
I must not enforce anything, nor read files.
My tests are in tests/unit/domain/test_limit_changes.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

import msgspec

from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits, StopMode, Tighter, is_whole, limit_fields, of_key
from engine.domain.schedule import ALWAYS

_PAIR = re.compile(r"(?P<name>[a-z_]+)(\[(?P<key>[^\]]+)\])?=(?P<value>.*)")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One value that differs between two sets of limits, as texts; name has its key in brackets where there is one."""

    name: str
    before: str
    after: str
    loosens: bool


def changes(before: RiskLimits, after: RiskLimits) -> tuple[Change, ...]:
    """Name every value that differs, in the order of the limits; nothing when the two are the same in effect."""
    found: list[Change] = []
    for item in limit_fields():
        old, new = getattr(before, item.name), getattr(after, item.name)
        if isinstance(old, Mapping):
            # the new keys too: one that was covered by "*" may have got a value of its own
            for key in dict.fromkeys((ANY, *sorted({*old, *new} - {ANY}))):
                found += _change(
                    item, f"{item.name}[{key}]" if key != ANY else item.name, of_key(old, key), of_key(new, key)
                )
        else:
            found += _change(item, item.name, old, new)
    return tuple(found)


def loosened(before: RiskLimits, after: RiskLimits) -> tuple[str, ...]:
    """Name every value that is less strict afterwards, or of which nobody can say that it is stricter."""
    return tuple(each.name for each in changes(before, after) if each.loosens)


def limits_from_text(pairs: Iterable[str], base: RiskLimits | None = None) -> RiskLimits:
    """Make limits from NAME=VALUE or NAME[KEY]=VALUE texts on top of `base` (the defaults).

    Raises ConfigError naming an unknown limit, one that is there twice, a value that is no number, or out of range.
    """
    base = base or RiskLimits()
    known = {item.name: item for item in limit_fields()}
    values: dict[str, Any] = {}
    seen = set[tuple[str, str]]()
    for pair in pairs:
        match = _matched(pair)
        name, key, text = match["name"], match["key"], match["value"]
        if name not in known:
            raise ConfigError(_unknown(name, known))
        if (name, key or ANY) in seen:
            raise ConfigError(f"Limit {name if key in (None, ANY) else f'{name}[{key}]'} is given twice; give it once.")
        seen.add((name, key or ANY))
        values[name] = _parsed(known[name], key, text, values.get(name, getattr(base, name)))
    return replace(base, **values)


def limits_from_values(values: Mapping[str, object], base: RiskLimits | None = None) -> RiskLimits:
    """Make limits from texts by name on top of `base` (the defaults); a limit by key is given as a whole, with its "*".

    Raises ConfigError that names every unknown limit and every bad value at once.
    """
    base = base or RiskLimits()
    known = {item.name: item for item in limit_fields()}
    problems = [_unknown(name, known) for name in values if name not in known]
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name in known:
            try:
                made[name] = _whole(known[name], value, getattr(base, name))
                replace(base, **{name: made[name]})
            except ConfigError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError(" ".join(problems))
    return replace(base, **made)


def values_of(limits: RiskLimits, names: Iterable[str]) -> dict[str, str | dict[str, str]]:
    """Write these limits as limits_from_values reads them, in the order of the limits."""
    wanted = frozenset(names)
    found: dict[str, str | dict[str, str]] = {}
    for item in limit_fields():
        if item.name in wanted:
            value = getattr(limits, item.name)
            is_keyed = isinstance(value, Mapping)
            found[item.name] = {key: text_of(part) for key, part in value.items()} if is_keyed else text_of(value)
    return found


def limits_named(pairs: Iterable[str]) -> tuple[str, ...]:
    """Name the limits that such texts set as a whole, each once; raises ConfigError for another form.

    A value for one instrument leaves every other one at what it was, so that it does not set the limit.
    """
    found = (_matched(pair) for pair in pairs)
    return tuple(dict.fromkeys(match["name"] for match in found if match["key"] in (None, ANY)))


def limits_touched(pairs: Iterable[str]) -> tuple[str, ...]:
    """Name every limit that such texts say anything of, each once; raises ConfigError for another form."""
    return tuple(dict.fromkeys(_matched(pair)["name"] for pair in pairs))


def check_keys(limits: RiskLimits, instruments: Iterable[str], kept: RiskLimits | None = None) -> None:
    """Raise ConfigError for a limit by an instrument that is none of these, or by a currency of none of them.

    Nobody would notice that it bounds nothing. What the limits that are kept have such a key for may have it still.
    """
    known = frozenset(instruments)
    currencies = frozenset(currency for name in known for currency in name.split("_"))
    for item in limit_fields():
        kind = item.metadata["keys"]
        allowed = known if kind == "instrument" else currencies
        allowed |= frozenset(getattr(kept, item.name)) if kept is not None and kind else frozenset()
        strange = [key for key in getattr(limits, item.name) if key != ANY and key not in allowed] if kind else []
        if strange:
            raise ConfigError(f"Limit {item.name}[{strange[0]}] names {kind} {strange[0]}, which is unknown.")


def text_of(value: object) -> str:
    """Write one value of a limit as limits_from_text reads it."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _change(item: "Field[Any]", name: str, old: Any, new: Any) -> list[Change]:
    if old == new:
        return []
    return [Change(name=name, before=text_of(old), after=text_of(new), loosens=_loosens(item, old, new))]


def _loosens(item: "Field[Any]", old: Any, new: Any) -> bool:
    tighter = item.metadata["tighter"]
    if tighter is Tighter.HIGHER:
        return bool(new < old)
    if tighter is Tighter.LOWER:
        if item.metadata.get("zero_is_off") and 0 in (old, new):
            return bool(new == 0)
        return bool(new > old)
    return bool(old != ALWAYS)  # hours where there were none are stricter; of other words nobody can say


def _matched(pair: str) -> re.Match[str]:
    match = _PAIR.fullmatch(pair)
    if not match:
        raise ConfigError(
            f"Limit {pair!r} is not of the form NAME=VALUE or NAME[KEY]=VALUE, like spread_pips_max[EUR_USD]=1.5."
        )
    return match


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=2)
    nearest = f"the nearest {'is' if len(near) == 1 else 'are'} {' and '.join(near)}. " if near else ""
    return f"Limit {name!r} is unknown; {nearest}`python -m engine limits show` lists them all."


def _whole(item: "Field[Any]", value: object, present: object) -> object:
    """Read one limit as a whole from texts."""
    if isinstance(present, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(part, str) for part in value.values()):
            raise ConfigError(f"{item.name} must be given by {item.metadata['keys']}, each value as a text.")
        return {str(key): _one(item, part, next(iter(present.values()))) for key, part in value.items()}
    if not isinstance(value, str):
        raise ConfigError(f"{item.name} must be one text, like {text_of(present)!r}.")
    return _one(item, value, present)


def _parsed(item: "Field[Any]", key: str | None, text: str, present: object) -> object:
    if isinstance(present, Mapping):
        return {**present, key or ANY: _one(item, text, next(iter(present.values())))}
    if key:
        raise ConfigError(f"Limit {item.name} is one value for everything; {item.name}[{key}] is not possible.")
    return _one(item, text, present)


def _one(item: "Field[Any]", text: str, present: object) -> object:
    if isinstance(present, StopMode):
        if text not in tuple(StopMode):
            raise ConfigError(f"{item.name} is {text!r}; it must be one of {', '.join(StopMode)}.")
        return StopMode(text)
    if isinstance(present, str):
        return " ".join(text.split())  # so that the same hours are the same text
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"{item.name} is {text!r}; it must be a {_allowed(item)}.") from error
    if not isinstance(present, int):
        return number
    if number.is_finite() and number == number.to_integral_value() and abs(number) < 10**9:
        return int(number)
    raise ConfigError(f"{item.name} is {text}; it must be a {_allowed(item)}.")


def _allowed(item: "Field[Any]") -> str:
    low, high, unit = (item.metadata[key] for key in ("low", "high", "unit"))
    return f"{'whole number' if is_whole(item) else 'number'} from {low} to {high} ({unit})"
