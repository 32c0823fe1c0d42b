"""I am the groups of limits: what stands together in the form, by the order in which limits are declared.
I may import the domain.
I must not draw, nor leave a limit out.
My tests are in tests/unit/pages/test_limit_groups.py.
"""

from dataclasses import Field
from typing import Any

from engine.domain.limits import limit_fields

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
