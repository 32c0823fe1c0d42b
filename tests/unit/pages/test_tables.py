"""Tables are pure: rows in, frames out, no decimal lost on the way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.command import Mode, SessionConfig
from engine.domain.limits import ANY, RiskLimits, limit_fields
from engine.domain.market import Granularity
from engine.ports import PredictorSpec
from engine.snapshot import WarmupRow
from pages.parts import tables


def spec(model_id: str, *, title: str, instruments: tuple[str, ...] = ()) -> PredictorSpec:
    return PredictorSpec(
        model_id=model_id,
        kind="rule",
        title=title,
        features=(),
        lookback_bars=31,
        instruments=instruments,
        instruments_max=4,
        granularity=Granularity.M1,
        sha256="",
    )


def warmup_row(name: str, have: int, need: int, age_s: float | None = 12.0, reason: str = "") -> WarmupRow:
    return WarmupRow(instrument=name, have=have, need=need, age_s=age_s, reason=reason)


def test_models_that_fit_come_first_and_the_others_say_why() -> None:
    specs = [spec("b", title="A tree", instruments=("EUR_USD",)), spec("a", title="Zigzag")]
    frame = tables.models(specs, {"a": None, "b": "It has not seen USD_JPY."})
    assert frame["Model"].tolist() == ["Zigzag", "A tree"]
    assert frame["Fits"].tolist() == ["yes", "no"]
    assert frame["Why not"].tolist() == ["", "It has not seen USD_JPY."]
    assert frame["Trained on"].tolist() == ["any", "EUR_USD"]
    assert list(frame.columns) == list(tables.MODEL_COLUMNS)


def test_no_model_leaves_the_columns() -> None:
    assert list(tables.models([], {}).columns) == list(tables.MODEL_COLUMNS)


def test_warmup_says_have_need_age_and_reason() -> None:
    rows = [warmup_row("EUR_USD", 31, 31), warmup_row("USD_JPY", 10, 40, None, "no history")]
    frame = tables.warmup(rows)
    assert frame["State"].tolist() == ["ready", "waiting"]
    assert frame["Progress"].tolist() == [100, 25]
    assert frame["Have"].tolist() == [31, 10]
    assert frame["Need"].tolist() == [31, 40]
    assert frame["Age"].tolist() == ["12 s", "no bar yet"]
    assert frame["Reason"].tolist() == ["", "no history"]


def test_warmup_share_counts_nothing_beyond_the_need() -> None:
    assert tables.warmup_share([warmup_row("EUR_USD", 90, 30), warmup_row("USD_JPY", 0, 30)]) == 0.5
    assert tables.warmup_share([]) == 1.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3_600, "1 h 00 min"),
        (7_859, "2 h 10 min"),
        (86_400, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("100000000", "100,000,000"), ("0.50", "0.5"), ("1E+3", "1,000"), ("500", "500"), ("0", "0"), ("1.00", "1")],
)
def test_plain_writes_digits_without_exponent(value: str, text: str) -> None:
    assert tables.plain(Decimal(value)) == text


def test_limits_table_has_every_limit_also_those_that_are_words() -> None:
    hours = {ANY: "always", "EUR_USD": "Mon-Fri 07:00-20:00 Europe/London"}
    frame = tables.limits(
        RiskLimits(spread_pips_max={ANY: Decimal("3.5"), "XAU_USD": Decimal(80)}, trading_windows=hours)
    )
    shown = dict(zip(frame["Limit"], frame["Value"], strict=True))
    assert len(frame) == len(limit_fields())
    assert list(frame["Limit"]) == [item.metadata["label"] for item in limit_fields()]
    assert shown["Spread"] == "XAU_USD 80, every other 3.5 pips"
    assert shown["Risk per trade"] == "0.5 % of equity"
    assert shown["Stops measured by"] == "atr"
    assert shown["Trading windows"] == "EUR_USD Mon-Fri 07:00-20:00 Europe/London, every other always"
    assert shown["Trading day begins"] == "17:00 America/New_York"


def test_configuration_shows_what_a_run_was_started_with() -> None:
    config = SessionConfig(
        mode=Mode.REPLAY,
        instruments=("EUR_USD", "USD_JPY"),
        speed=None,
        capital_home=Decimal("25000.5"),
        duration_s=600,
        bars=(("EUR_USD", "history/a.csv.gz"),),
    )
    frame = tables.configuration(config)
    shown = dict(zip(frame["Setting"], frame["Value"], strict=True))
    assert shown["Instruments"] == "EUR_USD, USD_JPY"
    assert shown["Capital"] == "25,000.50 USD"
    assert shown["Speed"] == "max"
    assert shown["Duration"] == "10 min 00 s"
    assert shown["Recordings"] == "a.csv.gz"
    assert tables.summary(config).startswith("replay · EUR_USD, USD_JPY · bars of M1 · model sma-cross")


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_a_typed_number_becomes_the_decimal_that_was_typed(number: Decimal) -> None:
    assert tables.exact(float(number)) == number


limit_values = st.decimals(min_value=0, max_value=10**8, places=3)
names = st.sampled_from(["EUR_USD", "USD_JPY", "XAU_USD", "EUR_GBP"])


@given(limit_values, st.dictionaries(names, limit_values))
def test_limits_by_instrument_survive_the_editor(other: Decimal, named: dict[str, Decimal]) -> None:
    values = {ANY: other, **named}
    table = tables.by_key(values, "Spread, pips")
    assert tables.from_by_key(table) == (values, None)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("EUR_USD", 3.0)], "a row for every other instrument is needed."),
        ([("every other", 3.0), ("EUR_USD", None)], "a row needs both an instrument and a value."),
        ([("every other", 3.0), (None, 2.0)], "a row needs both an instrument and a value."),
        ([("every other", 3.0), ("EUR_USD", 1.0), ("EUR_USD", 2.0)], "EUR_USD is there twice."),
    ],
)
def test_a_bad_row_of_the_editor_is_named(rows: list[tuple[str | None, float | None]], problem: str) -> None:
    table = tables.by_key({ANY: Decimal(1)}, "Spread, pips").iloc[:0]
    for row in rows:
        table.loc[len(table)] = row
    assert tables.from_by_key(table)[1] == problem
