"""Sets of limits as hypothesis draws them: every limit in its range, by key too, and hours as a person writes them."""

from dataclasses import Field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from engine.domain.limits import ANY, RiskLimits, StopMode, limit_fields

NAMES = {"instrument": ("EUR_USD", "USD_JPY", "XAU_USD"), "currency": ("EUR", "USD", "JPY")}
HOURS = ("always", "Mon-Fri 07:00-20:00 Europe/London", "Sun-Thu 22:00-02:00 UTC; Fri 08:00-12:00 America/New_York")
DAYS = ("17:00 America/New_York", "00:00 UTC", "08:00 Asia/Tokyo")


def values(item: "Field[Any]") -> st.SearchStrategy[Any]:
    """One value of a limit; the ends and the default come often, so that two sets are equal in some limits."""
    if item.name == "stop_mode":
        return st.sampled_from(StopMode)
    if "low" not in item.metadata:
        return st.sampled_from(HOURS if item.metadata["keys"] else DAYS)
    low, high = item.metadata["low"], item.metadata["high"]
    if item.type is int:
        return st.sampled_from([int(low), int(high)]) | st.integers(int(low), int(high))
    steps = int((high - low) / Decimal("0.1"))
    return st.sampled_from([low, high]) | st.integers(0, steps).map(lambda step: low + step * Decimal("0.1"))


def whole_limits(item: "Field[Any]") -> st.SearchStrategy[Any]:
    """A limit as a whole: with some keys of its own where it has keys."""
    if not item.metadata["keys"]:
        return values(item)
    named = st.dictionaries(st.sampled_from(NAMES[item.metadata["keys"]]), values(item), max_size=2)
    return st.builds(lambda other, own: {ANY: other, **own}, values(item), named)


def limit_sets() -> st.SearchStrategy[RiskLimits]:
    """Limits of which up to six differ from the defaults."""
    one = st.sampled_from(limit_fields()).flatmap(lambda item: st.tuples(st.just(item.name), whole_limits(item)))
    return st.lists(one, max_size=6).map(lambda chosen: RiskLimits(**dict(chosen)))
