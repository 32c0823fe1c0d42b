"""I am the groups of limits: what stands together in the form, and how a text of the engine calls them on a page.
I may import the domain and tables.
I must not draw, nor leave a limit out.
My tests are in tests/unit/pages/test_limit_groups.py.
"""

import re
from dataclasses import Field
from typing import Any

from engine.domain.limits import ANY, limit_fields
from pages.parts import tables

STOPS = "Stops"
# Each group begins with this limit and goes on to the next one's, so that a new limit always stands somewhere.
_BEGINS = {
    "risk_per_trade_pct": "Size and portfolio",
    "order_interval_s_min": "Orders",
    "spread_pips_max": "Prices",
    "stop_mode": STOPS,
    "trading_windows": "Hours",
    "trading_day": "Breakers",
}


def groups() -> "dict[str, list[Field[Any]]]":
    """Every limit below the title of its group, both in declaration order."""
    found: dict[str, list[Field[Any]]] = {}
    title = next(iter(_BEGINS.values()))
    for item in limit_fields():
        title = _BEGINS.get(item.name, title)
        found.setdefault(title, []).append(item)
    return found


def worded(text: str) -> str:
    """Put labels in the place of the names of limits: "Spread for every other instrument is 0; it must be ..."."""
    return _NAMES.sub(_label, text)


def named(name: str) -> str:
    """Write the name of a change with its key and unit: "Spread for EUR_USD, pips"."""
    field, _, key = name.rstrip("]").partition("[")
    metadata = _FIELDS[field].metadata
    label, unit = str(metadata["label"]), str(metadata["unit"]) if "low" in metadata else ""
    whose = f" for {key or f'{tables.EVERY_OTHER} {kind}'}" if (kind := metadata["keys"]) else ""
    is_told = not unit or unit.removeprefix("x ").lower() in label.lower()
    return f"{label}{whose}" if is_told else f"{label}{whose}, {unit}"


def _label(match: re.Match[str]) -> str:
    metadata = _FIELDS[match[1]].metadata
    return f"{metadata['label']} for {tables.EVERY_OTHER} {metadata['keys']}" if match[2] else str(metadata["label"])


_FIELDS = {item.name: item for item in limit_fields()}
_NAMES = re.compile(rf"\b({'|'.join(_FIELDS)})\b(\[{re.escape(ANY)}\])?")
