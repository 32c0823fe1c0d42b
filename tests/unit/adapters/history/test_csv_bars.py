import gzip
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.history.csv_bars import ImportedBars, ProblemKind, read_bars
from engine.domain.calendar import iso_utc
from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity
from tests.unit.adapters.history.rows import HEADER, KNOWN, MONDAY, PRICES, ns_of, row, rows, written

CROSSED = PRICES.replace("1.10010,1.10010", "1.10011,1.10010").replace("1.10000", "1.10012", 1)


def read(path: Path, instrument: str | None = None) -> ImportedBars:
    return read_bars(path, instrument, known=KNOWN)


def refusal(path: Path, instrument: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, instrument)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["EUR_USD.csv", "EUR_USD.csv.gz"])
def test_file_is_read_plain_or_gzipped(tmp_path: Path, name: str) -> None:
    imported = read(written(tmp_path, rows(range(5)), name))
    assert imported.file_name == name
    assert imported.instrument == "EUR_USD"
    assert imported.granularity is Granularity.M1
    assert [bar.open_ts_ns for bar in imported.bars] == [ns_of(MONDAY) + at * Granularity.M1.ns for at in range(5)]
    assert (imported.problems, imported.lines, imported.dropped) == ((), 5, 0)


def test_byte_order_mark_line_ends_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "EUR_USD.csv"
    content = "\r\n".join([HEADER, row(0), "", row(1), "  ", row(2), "bad", ""])
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    imported = read(path)
    assert (len(imported.bars), imported.lines, imported.dropped) == (3, 4, 1)
    assert [problem.line for problem in imported.problems] == [7]


def test_columns_may_come_in_another_order_with_others_between(tmp_path: Path) -> None:
    names = HEADER.split(",")
    header = ",".join(["volume", *names[5:], *names[:5]])
    lines = [",".join(["17", *line.split(",")[5:], *line.split(",")[:5]]) for line in rows(range(3))]
    assert read(written(tmp_path, lines, header=header)).bars == read(written(tmp_path, rows(range(3)))).bars


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("oanda_EUR_USD_M1_2014-05.csv.gz", "EUR_USD"),
        ("nzd-usd.csv", "NZD_USD"),
        ("GBP_USD", "GBP_USD"),
        ("EUR_USD_again_EUR_USD.csv", "EUR_USD"),
        ("EUR_USD_JPX.csv", "EUR_USD"),
    ],
)
def test_instrument_comes_from_the_name_of_the_file(tmp_path: Path, name: str, instrument: str) -> None:
    assert read(written(tmp_path, rows(range(3)), name)).instrument == instrument


def test_instrument_argument_beats_the_name_of_the_file(tmp_path: Path) -> None:
    imported = read(written(tmp_path, rows(range(3)), "EUR_USD.csv"), "NZD_USD")
    assert imported.instrument == "NZD_USD"
    assert {bar.instrument for bar in imported.bars} == {"NZD_USD"}


@pytest.mark.parametrize("name", ["bars.csv", "XXX_YYY.csv", "EURUSD.csv", "EUR_USD_NZD_USD.csv", "EUR_USD_JPY.csv"])
def test_name_without_exactly_one_instrument_is_refused(tmp_path: Path, name: str) -> None:
    assert "--bars EUR_USD=" in refusal(written(tmp_path, rows(range(3)), name))


def test_unknown_instrument_is_named_with_some_known_ones(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, rows(range(3))), "EUR_XXX")
    assert "'EUR_XXX'" in text
    assert "EUR_USD, GBP_USD" in text


def test_prices_follow_the_decimals_of_the_instrument(tmp_path: Path) -> None:
    imported = read(written(tmp_path, rows(range(3)), "USD_JPY.csv"))
    assert imported.bars[0].bid_low == Decimal("1.1")
    assert [(problem.line, problem.kind) for problem in imported.problems] == [(2, ProblemKind.PRECISION)]


def test_half_of_the_lines_may_be_bad_but_not_more(tmp_path: Path) -> None:
    lines = [row(at, CROSSED if at % 2 else PRICES) for at in range(10)]
    imported = read(written(tmp_path, lines))
    assert (len(imported.bars), imported.dropped) == (5, 5)
    assert imported.summary() == "10 lines, 5 bars kept, 5 dropped: 5 crossed (first at line 3)"
    text = refusal(written(tmp_path, [*lines, row(10, CROSSED)]))
    assert "6 of its 11 lines are bad, the first at line 3 (crossed: bid open 1.10012 is above" in text


def test_file_without_one_usable_bar_is_refused(tmp_path: Path) -> None:
    assert "5 of its 5 lines are bad" in refusal(written(tmp_path, [row(at, CROSSED) for at in range(5)]))


UNUSABLE = {
    "empty": (b"", "is empty"),
    "header only": (HEADER.encode(), "has 0 bars"),
    "no header": ("\n".join(rows(range(9))).encode(), "has no header"),
    "missing column": (HEADER.replace("ask_low,", "").encode(), "lacks ask_low"),
    "one bar": (f"{HEADER}\n{row(0)}".encode(), "has 1 bars"),
    "naive times": ("\n".join([HEADER, *rows(range(9))]).replace("Z", "").encode(), "lacks its offset"),
    "binary": (bytes(range(256)) * 40, "not UTF-8"),
    "zeros": (bytes(4_000), "has no header"),
    "zip": (b"PK\x03\x04" + b"\0" * 100, "has no header"),
    "truncated gzip": (gzip.compress("\n".join([HEADER, *rows(range(999))]).encode())[:-300], "cut off"),
    "damaged gzip": (gzip.compress(b"x" * 99)[:-8] + bytes(8), "damaged"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
    "gzip in gzip": (gzip.compress(gzip.compress(HEADER.encode())), "not UTF-8"),
    "open quote": (f'{HEADER}\n"{row(0)}\n{row(1)}\n'.encode(), "has 1 bars"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_file_is_refused_with_one_sentence(tmp_path: Path, name: str) -> None:
    content, said = UNUSABLE[name]
    path = tmp_path / "EUR_USD.csv"
    path.write_bytes(content)
    assert said in refusal(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "EUR_USD.csv")
    folder = tmp_path / "EUR_USD"
    folder.mkdir()
    assert "is a folder" in refusal(folder)


@given(content=st.binary(max_size=300), zipped=st.booleans(), headed=st.booleans())
def test_no_content_at_all_raises_anything_but_config_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, zipped: bool, headed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "EUR_USD.csv"
    whole = (HEADER.encode() + b"\n" if headed else b"") + content
    path.write_bytes(gzip.compress(whole) if zipped else whole)
    with pytest.raises(ConfigError, match=r"EUR_USD\.csv"):
        read(path)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Bar, ...]:
    """Sound bars of one instrument; most of them follow one another without a hole."""
    instrument = KNOWN[draw(st.sampled_from(sorted(KNOWN)))]
    granularity = draw(st.sampled_from(list(Granularity)))
    holes = draw(st.lists(st.integers(2, 5_000), max_size=5))
    steps = draw(st.permutations([1] * (len(holes) + 2) + holes))
    first = draw(st.integers(0, 9_000_000)) * Granularity.D.ns // 1_000 // granularity.ns
    opens = accumulate(steps, initial=first)
    return tuple(draw(sound_bars(instrument.name, granularity, at * granularity.ns)) for at in opens)


@st.composite
def sound_bars(draw: st.DrawFn, name: str, granularity: Granularity, open_ns: int) -> Bar:
    decimals = KNOWN[name].price_decimals
    low, *inner, high = sorted(draw(st.lists(st.integers(1, 10**7), min_size=4, max_size=4)))
    spreads = draw(st.lists(st.integers(0, 500), min_size=4, max_size=4))
    first, last = draw(st.permutations(inner))
    asks = [first + spreads[0], max(high, first, last) + 500, low, last + spreads[1]]

    def price(steps: int) -> Decimal:
        return Decimal(steps).scaleb(-decimals)

    return Bar(
        instrument=name,
        granularity=granularity,
        open_ts_ns=open_ns,
        bid_open=price(first),
        bid_high=price(high),
        bid_low=price(low),
        bid_close=price(last),
        ask_open=price(asks[0]),
        ask_high=price(asks[1]),
        ask_low=price(asks[2]),
        ask_close=price(asks[3]),
    )


@given(bars=recordings(), zipped=st.booleans())
def test_bars_written_to_a_file_come_back_equal(
    tmp_path_factory: pytest.TempPathFactory, bars: tuple[Bar, ...], zipped: bool
) -> None:
    names = HEADER.split(",")[1:]
    lines = [",".join([iso_utc(bar.open_ts_ns), *(str(getattr(bar, name)) for name in names)]) for bar in bars]
    path = written(tmp_path_factory.getbasetemp(), lines, "bars.csv.gz" if zipped else "bars.csv")
    imported = read(path, bars[0].instrument)
    assert imported.bars == bars
    assert imported.granularity is bars[0].granularity
    assert (imported.lines, imported.dropped) == (len(bars), 0)
    assert {problem.kind for problem in imported.problems} <= {ProblemKind.GAP}
