"""I am the tables of the pages: rows in, pandas frames and column settings out.
I may import the domain, ports, snapshot, row types of the store and formats.
I must not draw, query or keep state.
My tests are in tests/unit/pages/test_tables.py.

Prices and limits become text, so that no decimal is lost; amounts become floats, because they are only looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from streamlit import column_config as column

from engine.domain.command import SessionConfig
from engine.domain.limits import ANY, RiskLimits, limit_fields
from engine.ports import PredictorSpec
from engine.snapshot import LimitUse, WarmupRow
from engine.wiring import Recording
from pages.parts.formats import age, money, speed, utc

EVERY_OTHER = "every other"
ANY_INSTRUMENT = "any"
_ARTICLES = {"instrument": "an"}


def models(specs: Sequence[PredictorSpec], reasons: Mapping[str, str | None]) -> pd.DataFrame:
    """List models, those that fit first; `reasons` says by model id why one does not fit (None: it fits)."""
    rows = [
        {
            "Model": spec.title,
            "Fits": "no" if reasons[spec.model_id] else "yes",
            "Why not": reasons[spec.model_id] or "",
            "Id": spec.model_id,
            "Kind": spec.kind,
            "Look-back": spec.lookback_bars,
            "Capacity": spec.instruments_max,
            "Bars": spec.granularity or "any",
            "Trained on": ", ".join(spec.instruments) or ANY_INSTRUMENT,
        }
        for spec in sorted(specs, key=lambda spec: (reasons[spec.model_id] is not None, spec.title))
    ]
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS))


MODEL_COLUMNS: dict[str, Any] = {
    "Model": column.TextColumn(pinned=True),
    "Fits": column.TextColumn(width=60),
    "Why not": column.TextColumn(width="large"),
    "Id": column.TextColumn(),
    "Kind": column.TextColumn(),
    "Look-back": column.NumberColumn(help="Closed bars per instrument that one prediction looks at", format="%,d"),
    "Capacity": column.NumberColumn(help="Most instruments in one session", format="%,d"),
    "Bars": column.TextColumn(help="Granularity that it was made for"),
    "Trained on": column.TextColumn(help="Its training set; it serves no other instrument"),
}


def recordings(found: Sequence[Recording]) -> pd.DataFrame:
    """List recorded bar files, with what was dropped or why one is unusable."""
    rows = [
        {
            "File": item.name,
            "Instrument": item.instrument,
            "Bars of": item.granularity or "",
            "Bars": item.bars,
            "From (UTC)": _moment(item.first_ns) if item.bars else pd.NaT,
            "To (UTC)": _moment(item.last_ns) if item.bars else pd.NaT,
            "Dropped or unusable": item.problem or (item.summary if item.dropped else ""),
        }
        for item in found
    ]
    return pd.DataFrame(rows, columns=list(RECORDING_COLUMNS))


_TIME = "YYYY-MM-DD HH:mm:ss"

RECORDING_COLUMNS: dict[str, Any] = {
    "File": column.TextColumn(pinned=True),
    "Instrument": column.TextColumn(),
    "Bars of": column.TextColumn(),
    "Bars": column.NumberColumn(format="%,d"),
    "From (UTC)": column.DatetimeColumn(format=_TIME, timezone="UTC"),
    "To (UTC)": column.DatetimeColumn(format=_TIME, timezone="UTC"),
    "Dropped or unusable": column.TextColumn(width="large"),
}


def warmup(rows: Sequence[WarmupRow]) -> pd.DataFrame:
    """Show per instrument how far its look-back buffer is."""
    table = [
        {
            "Instrument": row.instrument,
            "State": "ready" if row.ready else "waiting",
            "Progress": min(100 * row.have // row.need, 100) if row.need else 100,
            "Have": row.have,
            "Need": row.need,
            "Age": "no bar yet" if row.age_s is None else age(row.age_s),
            "Reason": row.reason,
        }
        for row in rows
    ]
    return pd.DataFrame(table, columns=list(WARMUP_COLUMNS))


WARMUP_COLUMNS: dict[str, Any] = {
    "Instrument": column.TextColumn(pinned=True),
    "State": column.TextColumn(width=70),
    "Progress": column.ProgressColumn(format="%d %%", min_value=0, max_value=100),
    "Have": column.NumberColumn("Have, bars", format="%,d"),
    "Need": column.NumberColumn("Need, bars", format="%,d"),
    "Age": column.TextColumn(help="Market time since its newest closed bar", alignment="right"),
    "Reason": column.TextColumn(width="large"),
}


def warmup_share(rows: Sequence[WarmupRow]) -> float:
    """Share 0..1 of all needed look-back bars that are there; 1 when nothing is needed."""
    need = sum(row.need for row in rows)
    return sum(min(row.have, row.need) for row in rows) / need if need else 1.0


def duration(seconds: float) -> str:
    """Write a length of time with its two largest units, e.g. 45 s, 3 min 05 s, 2 h 10 min, 3 d 4 h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def summary(config: SessionConfig) -> str:
    """Say in one line what a session would do."""
    parts = [
        config.mode.value,
        ", ".join(config.instruments),
        f"bars of {config.granularity}",
        f"model {config.model_id}",
    ]
    if config.mode.sends_orders:
        parts.append(f"the account's balance in {config.currency}")
    else:
        parts.append(f"{money(config.capital_home)} {config.currency}")
    if config.mode.is_simulated:
        parts.append(f"speed {speed(config.speed)}")
    return " · ".join(parts)


def configuration(config: SessionConfig, account: str = "") -> pd.DataFrame:
    """Show what a session was started with, on which account if not a simulated one; limits have their own table."""
    opening = "Balance at the start" if config.mode.sends_orders else "Capital"
    place = "Account" if config.mode.sends_orders else "Prices from"
    rows = {
        "Mode": config.mode.value,
        **({place: account} if account else {}),
        "Instruments": ", ".join(config.instruments),
        "Granularity": config.granularity.value,
        "Model": config.model_id,
        opening: f"{money(config.capital_home)} {config.currency}",
    }
    if config.mode.is_simulated:
        recordings = ", ".join(Path(path).name for _, path in config.bars) or "none"
        rows |= {"Speed": speed(config.speed), "Seed": str(config.seed), "Recordings": recordings}
    rows["Duration"] = "until stopped" if config.duration_s is None else duration(config.duration_s)
    return pd.DataFrame(list(rows.items()), columns=["Setting", "Value"])


def limits(values: RiskLimits, usage: Sequence[LimitUse] = ()) -> pd.DataFrame:
    """Show every limit with its value, what is used and left of it, and from when on a change of it counts."""
    used = {use.name: use for use in usage}
    rows = [
        {
            "Limit": item.metadata["label"],
            "Value": _limit(item, getattr(values, item.name)),
            "Used now": used[item.name].value if item.name in used else "not measured yet",
            "Left": used[item.name].distance if item.name in used else "",
            "A change counts": str(item.metadata["effect"]),
        }
        for item in limit_fields()
    ]
    return pd.DataFrame(rows, columns=["Limit", "Value", "Used now", "Left", "A change counts"])


LIMIT_COLUMNS: dict[str, Any] = {
    "Limit": column.TextColumn(pinned=True, width=155),
    "Value": column.TextColumn(width=300),
    "Used now": column.TextColumn(width=210),
    "Left": column.TextColumn(width=160),
    "A change counts": column.TextColumn(width=110),
}


def _limit(item: "Field[Any]", value: Any) -> str:
    if item.metadata.get("zero_is_off") and value == 0:
        return "off"
    return " ".join([limit_text(value), *_unit(item)])


def _unit(item: "Field[Any]") -> list[str]:
    """The unit of a number; what a limit in words is made of is no unit to show behind it."""
    return [str(item.metadata["unit"])] if "low" in item.metadata else []


def limit_text(value: Decimal | int | str | Mapping[str, Decimal] | Mapping[str, str]) -> str:
    """Write a limit in plain digits or its words; one by key as "EUR_USD 3, every other 5"."""
    if isinstance(value, Mapping):
        named = [f"{name} {limit_text(part)}" for name, part in value.items() if name != ANY]
        return ", ".join([*named, f"{EVERY_OTHER} {limit_text(value[ANY])}" if named else limit_text(value[ANY])])
    return str(value) if isinstance(value, str) else plain(value)


def plain(value: Decimal | int) -> str:
    """Write a number with thousands separators and no more decimals than it needs."""
    text = f"{Decimal(value):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def by_key(values: Mapping[str, Decimal] | Mapping[str, str], label: str, kind: str = "instrument") -> pd.DataFrame:
    """Turn a limit by instrument or currency into an editable table, the entry for every other one first."""
    names = [ANY, *(name for name in values if name != ANY)]
    shown = [EVERY_OTHER if name == ANY else name for name in names]
    parts = [values[name] for name in names]
    return pd.DataFrame(
        {kind.capitalize(): shown, label: [part if isinstance(part, str) else float(part) for part in parts]}
    )


def nothing_by_key(label: str, kind: str = "instrument") -> pd.DataFrame:
    """Make such a table with a number yet to be typed, for every other one."""
    return pd.DataFrame({kind.capitalize(): [EVERY_OTHER], label: pd.Series([None], dtype=float)})


def from_by_key(table: pd.DataFrame, kind: str = "instrument") -> tuple[dict[str, Any], str | None]:
    """Read such a table back; the second item says in one sentence what is wrong with it."""
    values: dict[str, Any] = {}
    for name, part in table.itertuples(index=False):
        if pd.isna(name) or pd.isna(part):
            return values, f"a row needs both {_ARTICLES.get(kind, 'a')} {kind} and a value."
        if name in values:
            return values, f"{name} is there twice."
        values[name] = " ".join(part.split()) if isinstance(part, str) else exact(float(part))
    if EVERY_OTHER not in values:
        return values, f"a row for {EVERY_OTHER} {kind} is needed."
    return {ANY: values.pop(EVERY_OTHER), **values}, None


def exact(number: float) -> Decimal:
    """Turn a typed number into the decimal that was typed (the shortest one that reads back the same)."""
    return Decimal(int(number)) if number.is_integer() else Decimal(repr(number))


def span(first_ns: int, last_ns: int) -> str:
    """Write a span of market time."""
    return f"{utc(first_ns)} to {utc(last_ns)}"


def _moment(ts_ns: int) -> pd.Timestamp:
    return pd.Timestamp(ts_ns, unit="ns", tz="UTC")
