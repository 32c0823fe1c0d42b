from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.history.fields import Header, LineFault, Prices, Times, shown
from engine.adapters.history.imported import ProblemKind
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S
from tests.unit.adapters.history.rows import HEADER, KNOWN, ns_of

PATH = Path("EUR_USD.csv")
FIRST_OF_MAY = ns_of(datetime(2014, 5, 1, tzinfo=UTC))


def fault_of_price(text: str) -> ProblemKind:
    with pytest.raises(LineFault) as caught:
        Prices(KNOWN["EUR_USD"])[text]
    return caught.value.kind


def test_header_finds_its_columns_in_any_order_among_others() -> None:
    names = HEADER.split(",")
    order = [*reversed(names[1:]), "volume", " TIME "]
    time, prices = Header(PATH, ",".join(order)).split("8,7,6,5,4,3,2,1,99, now ")
    assert (time, prices) == ("now", ("1", "2", "3", "4", "5", "6", "7", "8"))


def test_header_may_begin_with_a_byte_order_mark_and_have_quotes() -> None:
    header = Header(PATH, "\ufeff" + ",".join(f'"{name}"' for name in HEADER.split(",")))
    assert header.split('"now",1,2,3,4,5,6,7,"8"') == ("now", ("1", "2", "3", "4", "5", "6", "7", "8"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (HEADER.replace(",ask_low,ask_close", ""), "lacks ask_low, ask_close"),
        ("2014-05-01T00:00:00Z,1,1,1,1,1,1,1,1", "has no header"),
        ("", "has no header"),
        (HEADER + ",time", "more than one column time"),
        ('time,"bid\ropen"x', "lacks"),
        ('"' + "x" * 200_000, "has no header"),
    ],
)
def test_unusable_header_is_one_clear_error(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Header(PATH, line)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("line", ["", "now,1,2,3", "now,1,2,3,4,5,6,7,8,9", 'now,"1,2,3,4,5,6,7,8', '"' * 140_001])
def test_line_with_other_columns_is_a_fault(line: str) -> None:
    with pytest.raises(LineFault) as caught:
        Header(PATH, HEADER).split(line)
    assert caught.value.kind is ProblemKind.WRONG_COLUMNS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2014-05-01T00:01:02Z", 62),
        ("2014-05-01t00:01:02z", 62),
        ("2014-05-01 00:01:02+00:00", 62),
        ("2014-05-01T00:01:02-00:00", 62),
        ("2014-05-01T02:01:02+02:00", 62),
        ("2014-04-30T18:31:02-05:30", 62),
        ("2014-05-01T00:01:02.000000000Z", 62),
        ("2014-05-01T00:01:02.5Z", Decimal("62.5")),
        ("2014-05-01T00:01:02.000000007Z", Decimal("62.000000007")),
    ],
)
def test_time_is_read_as_utc_nanoseconds(text: str, seconds: Decimal) -> None:
    assert Times().ns(text) == FIRST_OF_MAY + int(seconds * NS_PER_S)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 30)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.integers(-1_439, 1_439),
    st.integers(0, 999_999_999),
)
def test_every_moment_reads_the_same_in_every_offset(naive: datetime, offset_minutes: int, ns: int) -> None:
    utc = naive.replace(microsecond=0, tzinfo=UTC)
    local = utc + timedelta(minutes=offset_minutes)
    hours, minutes = divmod(abs(offset_minutes), 60)
    sign = "-" if offset_minutes < 0 else "+"
    text = f"{local.year:04}{local:-%m-%dT%H:%M:%S}.{ns:09}{sign}{hours:02}:{minutes:02}"
    assert Times().ns(text) == (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS_PER_S + ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2014-05-01",
        "2014-05-01T00:00:00",
        "2014-05-01T00:00:00 UTC",
        "2014-05-01T00:00Z",
        "2014-05-01T24:00:00Z",
        "2014-05-01T00:60:00Z",
        "2014-05-01T00:00:60Z",
        "2014-05-01T00:00:00.Z",
        "2014-05-01T00:00:00.0000000001Z",
        "2014-05-01T00:00:00+24:00",
        "2014-02-29T00:00:00Z",
        "2014-13-01T00:00:00Z",
        "2014-W01-1T00:00:00Z",
        "20140501T000000Z",
        "01/05/2014 00:00:00Z",
        "1969-12-31T00:00:00Z",
        "2262-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1398902400",
        "٢٠١٤-05-01T00:00:00Z",
    ],
)
def test_other_times_are_faults(text: str) -> None:
    with pytest.raises(LineFault) as caught:
        Times().ns(text)
    assert caught.value.kind is ProblemKind.BAD_TIME


def test_naive_time_is_told_what_it_lacks() -> None:
    with pytest.raises(LineFault, match="lacks its offset"):
        Times().ns("2014-05-01T00:00:00")


@pytest.mark.parametrize("text", ["1.3", " 1.3 ", "+1.30", "1.300000", "13e-1", "0.13E+1", "1.30000000000000000000000"])
def test_price_is_exact_and_has_the_decimals_of_its_instrument(text: str) -> None:
    prices = Prices(KNOWN["EUR_USD"])
    assert str(prices[text]) == "1.30000"
    assert prices.rounded is None


def test_price_with_more_decimals_is_rounded_half_even() -> None:
    prices = Prices(KNOWN["EUR_USD"])
    assert str(prices["1.3867549999999998"]) == "1.38675"
    assert prices.rounded == "1.3867549999999998"
    assert str(prices["1.386755"]) == "1.38676"
    assert str(prices["1.386745"]) == "1.38674"
    assert prices.rounded == "1.3867549999999998"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", ProblemKind.NOT_A_NUMBER),
        ("abc", ProblemKind.NOT_A_NUMBER),
        ("1,3", ProblemKind.NOT_A_NUMBER),
        ("1_3", ProblemKind.NOT_A_NUMBER),
        ("1.3.1", ProblemKind.NOT_A_NUMBER),
        ("١.٣", ProblemKind.NOT_A_NUMBER),
        ("0x1", ProblemKind.NOT_A_NUMBER),
        (".", ProblemKind.NOT_A_NUMBER),
        ("1e999999999", ProblemKind.NOT_A_NUMBER),
        ("1" * 100, ProblemKind.NOT_A_NUMBER),
        ("NaN", ProblemKind.NON_FINITE),
        ("sNaN", ProblemKind.NON_FINITE),
        ("-inf", ProblemKind.NON_FINITE),
        ("Infinity", ProblemKind.NON_FINITE),
        ("0", ProblemKind.NON_POSITIVE),
        ("0.000001", ProblemKind.NON_POSITIVE),
        ("-1.3", ProblemKind.NON_POSITIVE),
        ("-1e99", ProblemKind.NON_POSITIVE),
        ("1e99", ProblemKind.TOO_LARGE),
        ("1000000001", ProblemKind.TOO_LARGE),
    ],
)
def test_other_prices_are_faults(text: str, kind: ProblemKind) -> None:
    assert fault_of_price(text) is kind


@given(st.text(max_size=30))
def test_no_text_at_all_gets_past_as_an_unsound_price(text: str) -> None:
    try:
        price = Prices(KNOWN["EUR_USD"])[text]
    except LineFault:
        return
    assert 0 < price <= 1_000_000_000


@given(st.text(max_size=40))
def test_no_text_at_all_raises_anything_but_a_fault_as_time(text: str) -> None:
    try:
        Times().ns(text)
    except LineFault as fault:
        assert fault.kind is ProblemKind.BAD_TIME


def test_shown_text_is_short_and_on_one_line() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 1_000)) < 50
