"""Numbers, ages and times as text: signs, separators, units and zones."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.parts import formats

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=6)
MONDAY_NS = 1_767_623_525 * formats.NS_PER_S


@pytest.mark.parametrize(
    ("amount", "plain", "signed"),
    [
        ("1234.5", "1,234.50", "+1,234.50"),
        ("-1234567.891", "-1,234,567.89", "-1,234,567.89"),
        ("0", "0.00", "0.00"),
        ("-0.004", "0.00", "0.00"),
        ("0.005", "0.00", "0.00"),
        ("0.015", "0.02", "+0.02"),
    ],
)
def test_money_has_separators_and_an_ascii_minus(amount: str, plain: str, signed: str) -> None:
    assert formats.money(Decimal(amount)) == plain
    assert formats.signed_money(Decimal(amount)) == signed


@given(AMOUNTS)
def test_money_reads_back_as_the_amount_rounded_to_cents(amount: Decimal) -> None:
    text = formats.money(amount)
    assert text.isascii()
    assert abs(Decimal(text.replace(",", "")) - amount) <= Decimal("0.005")


@given(AMOUNTS)
def test_a_sign_is_shown_exactly_for_what_is_not_zero(amount: Decimal) -> None:
    text = formats.signed_money(amount)
    value = Decimal(text.replace(",", ""))
    assert text[0] == ("+" if value > 0 else "-" if value < 0 else "0")


def test_percentages_carry_their_unit() -> None:
    assert formats.percent(Decimal("0.4249")) == "0.42 %"
    assert formats.signed_percent(Decimal("0.75")) == "+0.75 %"
    assert formats.signed_percent(Decimal("-12.5")) == "-12.50 %"


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [("1.09", 5, "1.09000"), ("151.1235", 3, "151.124"), ("2650", 3, "2650.000"), ("1.5", 0, "2")],
)
def test_prices_have_fixed_decimals(value: str, decimals: int, text: str) -> None:
    assert formats.price(Decimal(value), decimals) == text


def test_a_missing_price_is_a_dash() -> None:
    assert formats.price(None, 5) == "-"


@pytest.mark.parametrize(
    ("value", "text"), [("15000", "15,000"), ("-15000", "15,000"), ("0.50", "0.5"), ("1E+5", "100,000"), ("0", "0")]
)
def test_units_are_without_sign_and_empty_decimals(value: str, text: str) -> None:
    assert formats.units(Decimal(value)) == text


def test_sides_are_told_by_shape_and_word() -> None:
    assert [formats.side(Decimal(units)) for units in (3, -3, 0)] == ["▲ long", "▼ short", "flat"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (47, "47 s"), (180, "3 min"), (7_200, "2 h"), (432_000, "5 d")],
)
def test_ages_have_one_unit(seconds: float, text: str) -> None:
    assert formats.age(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3, "now"), (0.9, "now"), (41, "0:41"), (3_723, "1:02:03")])
def test_countdown(seconds: float, text: str) -> None:
    assert formats.countdown(seconds) == text


def test_moments_name_their_zone() -> None:
    assert formats.utc(MONDAY_NS) == "2026-01-05 14:32:05 UTC"
    assert formats.clock(MONDAY_NS) == "Mon 14:32:05 UTC"
    assert formats.clock_only(MONDAY_NS) == "Mon 14:32:05"


def test_speed_and_names_become_words() -> None:
    assert [formats.speed(factor) for factor in (60.0, 0.5, None)] == ["60x", "0.5x", "max"]
    assert formats.words("ResumeTrading") == "Resume trading"
    assert formats.label("daily_loss") == "daily loss"


def test_text_of_others_cannot_format_the_page() -> None:
    assert formats.escaped("**x** :red[y] $z$") == "\\*\\*x\\*\\* \\:red\\[y\\] \\$z\\$"
    assert formats.sentence("it stopped. ") == formats.sentence("it stopped") == "it stopped."


def test_moments_in_a_text_of_the_engine_are_written_as_on_the_page() -> None:
    assert (
        formats.moments("closed until 2025-01-06T22:00:00Z, 3 left") == "closed until 2025-01-06 22:00:00 UTC, 3 left"
    )
    assert formats.sentence("until 2025-01-06T22:00:00.123Z") == "until 2025-01-06 22\\:00\\:00 UTC."
