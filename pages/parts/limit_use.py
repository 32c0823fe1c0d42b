"""I am the use of limits on a page: what is used, what is allowed, what is left, and how near that is.
I may import streamlit, pandas, the domain, snapshot, the groups of limits, tables and formats.
I must not measure anything, nor know a limit by name; the snapshot brings both.
My tests are in tests/ui/test_risk.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import Field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.domain.limits import ANY, RiskLimits
from engine.snapshot import LimitUse, Snapshot
from pages.parts import formats, limit_groups, tables

NEAR_PCT, FULL_PCT = 75.0, 100.0
WITHIN, NEAR, REACHED = "○ within", "▲ near", "■ reached"
NOT_MEASURED = "not measured yet"
DAILY_LOSS, DRAWDOWN = "daily_loss_pct_max", "drawdown_pct_max"
# Two figures that read the same are the same.
_SAME_PCT = Decimal("0.005")
_EQUITY = " of equity"
_SHARE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?) %")
_NEAR_DAYS = timedelta(days=6)
_LONG = re.compile(r"(?<![\d.,:])\d{4,}(?![\d-])")
# Read well on both grounds; the words and shapes say what the colours do.
_COLOURS = {NEAR: "color: #c77700", REACHED: "color: #dc3545"}


def state(used_pct: float | None) -> str:
    """Say in a shape and a word how near a limit is; nothing where there is no number to compare."""
    if used_pct is None:
        return ""
    return REACHED if used_pct >= FULL_PCT else NEAR if used_pct >= NEAR_PCT else WITHIN


def find(snapshot: Snapshot, name: str) -> LimitUse | None:
    """The use of one limit, if the session has measured it."""
    return next((use for use in snapshot.usage if use.name == name), None)


def short(text: str) -> str:
    """Leave out what a share is of, where the place says it."""
    return text.replace(_EQUITY, "")


def grouped(text: str) -> str:
    """Put thousands separators into the long numbers of a text; decimals, times and names stay as they are."""
    return _LONG.sub(lambda match: f"{int(match[0]):,}", text)


def fixed(text: str) -> str:
    """Write a measured share with two decimals, so that it does not jump; other numbers with separators."""
    return grouped(_SHARE.sub(lambda match: f"{Decimal(match[1]):.2f} %", text))


def brief(text: str, now_ns: int) -> str:
    """Shorten the times in a text for a cell of a table: "Mon 22:00 UTC" while no other Monday can be meant."""

    def told(match: re.Match[str]) -> str:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00")
        is_near = abs(moment - datetime.fromtimestamp(now_ns // formats.NS_PER_S, tz=UTC)) < _NEAR_DAYS
        return f"{moment:%a %H:%M} UTC" if is_near else f"{moment:%Y-%m-%d %H:%M} UTC"

    return formats.MOMENT.sub(told, text)


def left(snapshot: Snapshot, name: str) -> str:
    """Say what is allowed and how far away that is: "of 10 %, 9.58 % left"; empty while nobody knows."""
    use = find(snapshot, name)
    if use is None or use.used_pct is None:
        return "" if use is None or not use.limit else f"limit {short(grouped(use.limit))}"
    near = state(use.used_pct)
    words = f"of {short(grouped(use.limit))}, {short(fixed(use.distance))} left"
    return words if near == WITHIN else f"{near[0]} {words}"  # a word more would not fit below a tile


def marked(label: str, use: LimitUse | None) -> str:
    """Put the shape and word of a limit that is near or reached behind its label."""
    near = state(use.used_pct) if use else ""
    return f"{label}, {near}" if near in (NEAR, REACHED) else label


def whole(snapshot: Snapshot, name: str) -> str:
    """Say in a narrow place, without decimals, what is used, allowed and left: "126 % of 500 %, 374 % left"."""
    use = find(snapshot, name)
    if use is None or use.used_pct is None:
        return ""
    words = short(f"{use.value} of {use.limit}, {use.distance} left")
    return grouped(_SHARE.sub(lambda match: f"{Decimal(match[1]):.0f} %", words))


def measured(snapshot: Snapshot, name: str) -> Decimal | None:
    """How much of a limit in percent is used, from the moment that its breaker measures from; None while unknown."""
    use = find(snapshot, name)
    if use is None or use.used_pct is None or snapshot.limits is None:
        return None
    return Decimal(str(use.used_pct)) * Decimal(getattr(snapshot.limits, name)) / 100


def since(snapshot: Snapshot, name: str) -> str:
    """Say from when a loss is measured, where that is not the beginning which its name promises; empty where it is.

    A released breaker measures anew, and the highest equity of a drawdown may be that of the run before a crash.
    """
    used, whole_fall = measured(snapshot, name), _whole_fall(snapshot, name)
    if used is None or whole_fall is None or abs(used - whole_fall) < _SAME_PCT:
        return ""
    is_longer = name == DRAWDOWN and used > whole_fall
    return "from the highest before this run" if is_longer else "since its release"


def _whole_fall(snapshot: Snapshot, name: str) -> Decimal | None:
    """The fall over the whole trading day, or from the highest equity of the session."""
    falls = {DAILY_LOSS: max(-snapshot.day_pl_pct, formats.ZERO), DRAWDOWN: snapshot.drawdown_pct}
    return falls.get(name)


def anew(snapshot: Snapshot) -> str:
    """Say of each loss that is not measured from its beginning from when it is, and what it is from there."""
    said = []
    if words := since(snapshot, DAILY_LOSS):
        day = formats.signed_percent(snapshot.day_pl_pct)
        said.append(f"**Daily loss is measured {words}**; the trading day stands at {day} since it began.")
    if words := since(snapshot, DRAWDOWN):
        fall = formats.percent(snapshot.drawdown_pct)
        said.append(f"**Drawdown is measured {words}**; from the highest equity of this session it is {fall}.")
    return "  \n".join(said)


def nearest(snapshot: Snapshot) -> str:
    """Name the limits that are near or reached, the fullest first; a sentence either way."""
    full = sorted(
        ((use.used_pct, use.name) for use in snapshot.usage if use.used_pct is not None and use.used_pct >= NEAR_PCT),
        reverse=True,
    )
    labels = {item.name: str(item.metadata["label"]) for items in limit_groups.groups().values() for item in items}
    if not full:
        return f"No limit is used to {NEAR_PCT:.0f} % or more."
    named = ", ".join(f"{state(pct)[0]} {labels[name]} {pct:.0f} %" for pct, name in full)
    return f"Used to {NEAR_PCT:.0f} % or more: {named}."


def draw(snapshot: Snapshot) -> None:
    """Draw one row per limit, below the title of its group."""
    st.caption(
        "Of a limit by instrument or currency the row shows the one that is nearest to it. "
        f"{NEAR} is {NEAR_PCT:.0f} % and more, {REACHED} {FULL_PCT:.0f} % and more. "
        "Entries are sized to Risk per trade and cut to Position size and Position value, so these may be full in a "
        "sound session."
    )
    for title, items in limit_groups.groups().items():
        st.markdown(f"**{title}**")
        found = rows(snapshot, items)
        is_measured = bool(found["Used"].notna().any())
        shown = found if is_measured else found.drop(columns=["Used", "State", "Left"])
        st.dataframe(
            shown.style.map(_colour, subset=["State"]) if is_measured else shown,
            column_config=COLUMNS if is_measured else WORD_COLUMNS, hide_index=True,
            height="content", key=f"risk-limits-{title}", alt=f"{title}: each limit with what is used and left of it",
        )  # fmt: skip
    with st.expander("What each limit means"):
        st.markdown("\n".join(_meaning(item) for items in limit_groups.groups().values() for item in items))


def _meaning(item: "Field[Any]") -> str:
    return f"- **{formats.escaped(str(item.metadata['label']))}**: {formats.escaped(str(item.metadata['note']))}"


def rows(snapshot: Snapshot, items: "Iterable[Field[Any]]") -> pd.DataFrame:
    """Turn limits into rows; one that was not measured yet is shown with what is allowed."""
    return pd.DataFrame([_row(snapshot, item) for item in items], columns=list(COLUMNS))


def _row(snapshot: Snapshot, item: "Field[Any]") -> dict[str, Any]:
    use = find(snapshot, item.name)
    pct = use.used_pct if use else None
    return {
        "Limit": item.metadata["label"],
        "Used now": brief(fixed(use.value), snapshot.ts_ns) if use else NOT_MEASURED,
        "Allowed": grouped(use.limit) if use else _allowed(snapshot, item),
        "Used": None if pct is None else min(max(pct, 0.0), FULL_PCT),
        "State": f"{state(pct)}, {pct:.0f} %" if pct is not None and pct > FULL_PCT else state(pct),
        "Left": fixed(use.distance) if use else "",
        "A change counts": item.metadata["effect"].value,
    }


def _allowed(snapshot: Snapshot, item: "Field[Any]") -> str:
    return "" if snapshot.limits is None else text(item, getattr(snapshot.limits, item.name))


def _colour(cell: object) -> str:
    return next((look for word, look in _COLOURS.items() if str(cell).startswith(word)), "")


def defaults() -> None:
    """Draw what every limit would be without a choice, and the range that it can be chosen from."""
    values = RiskLimits()
    for title, items in limit_groups.groups().items():
        st.markdown(f"**{title}**")
        found = [
            {
                "Limit": item.metadata["label"],
                "Default": text(item, getattr(values, item.name)),
                "Can be": span(item),
                "Meaning": item.metadata["note"],
            }
            for item in items
        ]
        st.dataframe(
            pd.DataFrame(found), column_config=DEFAULT_COLUMNS, hide_index=True, height="content",
            key=f"risk-defaults-{title}", alt=f"{title}: each limit with its default and its range",
        )  # fmt: skip


def span(item: "Field[Any]") -> str:
    """Say what a limit can be: "0.01 to 5"; empty for one that is words."""
    if "low" not in item.metadata:
        return ""
    return f"{tables.plain(item.metadata['low'])} to {tables.plain(item.metadata['high'])}"


def text(item: "Field[Any]", value: Any) -> str:
    """Write a limit with its unit, "off" for one that is; one by instrument or currency with every entry."""
    unit = str(item.metadata["unit"]) if "low" in item.metadata else ""
    if item.metadata.get("zero_is_off") and value == 0:
        return "off"
    if not isinstance(value, Mapping):
        return f"{_plain(value)} {unit}".strip()
    named = [f"{key} {_plain(part)}" for key, part in value.items() if key != ANY]
    rest = f"{tables.EVERY_OTHER} {_plain(value[ANY])}" if named else _plain(value[ANY])
    return f"{', '.join([*named, rest])} {unit}".strip()


def _plain(value: Any) -> str:
    return tables.plain(value) if isinstance(value, int | Decimal) else str(value)


def moment(ts_ns: int) -> str:
    """Write a moment for a sentence in Markdown."""
    return formats.escaped(formats.utc(ts_ns))


# Wide enough for what they hold, and together no wider than a laptop's page; a longer cell opens on a click.
COLUMNS: dict[str, Any] = {
    "Limit": column.TextColumn(pinned=True, width=155),
    "Used now": column.TextColumn(width=200),
    "Allowed": column.TextColumn(width=150),
    "Used": column.ProgressColumn(format="%.0f %%", min_value=0, max_value=100, width=105),
    "State": column.TextColumn(width=110, help="Within, near (75 % and more) or reached (100 % and more)"),
    "Left": column.TextColumn(width=130, help="How far away the limit is"),
    "A change counts": column.TextColumn(width=110, help="From when on a changed limit counts"),
}
WORD_COLUMNS: dict[str, Any] = {
    "Limit": COLUMNS["Limit"],
    "Used now": column.TextColumn(width=405),
    "Allowed": column.TextColumn(width=290),
    "A change counts": COLUMNS["A change counts"],
}
DEFAULT_COLUMNS: dict[str, Any] = {
    "Limit": column.TextColumn(pinned=True, width=155),
    "Default": column.TextColumn(width=300),
    "Can be": column.TextColumn(width=110),
    "Meaning": column.TextColumn(width=395),
}
