from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.adapters.history.bar_reader import BarReader
from engine.adapters.history.fields import Header
from engine.adapters.history.imported import Problem, ProblemKind
from engine.adapters.history.moments import HOUR_NS, MINUTE_NS
from engine.domain.market import Bar, Granularity
from tests.unit.adapters.history.rows import HEADER, KNOWN, MONDAY, PRICES, ns_of, row, rows

FRIDAY_EVENING = 4 * 1_440 + 20 * 60 + 55


def judged(lines: list[str], granularity: Granularity = Granularity.M1) -> tuple[list[Bar], list[Problem]]:
    reader = BarReader(KNOWN["EUR_USD"], granularity, Header(Path("EUR_USD.csv"), HEADER))
    bars = list(reader.bars(enumerate(lines, start=2)))
    assert reader.lines == len(lines)
    assert len(bars) + sum(problem.kind.drops for problem in reader.problems) == len(lines)
    return bars, reader.problems


def minutes_of(bars: list[Bar]) -> list[float]:
    return [(bar.open_ts_ns - ns_of(MONDAY)) / MINUTE_NS for bar in bars]


def prices(**changed: str) -> str:
    """Sound prices with some of them changed."""
    names = HEADER.split(",")[1:]
    return ",".join(changed.get(name, price) for name, price in zip(names, PRICES.split(","), strict=True))


def test_sound_line_becomes_its_bar() -> None:
    (bar,), problems = judged([row(7)])
    assert problems == []
    assert bar == Bar(
        instrument="EUR_USD",
        granularity=Granularity.M1,
        open_ts_ns=ns_of(MONDAY) + 7 * MINUTE_NS,
        bid_open=Decimal("1.10000"),
        bid_high=Decimal("1.10020"),
        bid_low=Decimal("1.09990"),
        bid_close=Decimal("1.10010"),
        ask_open=Decimal("1.10010"),
        ask_high=Decimal("1.10030"),
        ask_low=Decimal("1.10000"),
        ask_close=Decimal("1.10020"),
    )


BAD_LINES = [
    (row(2) + ",1", ProblemKind.WRONG_COLUMNS),
    (row(2).rpartition(",")[0], ProblemKind.WRONG_COLUMNS),
    (row(2).replace("Z", ""), ProblemKind.BAD_TIME),
    (row(2, prices(ask_high="")), ProblemKind.NOT_A_NUMBER),
    (row(2, prices(ask_high="nan")), ProblemKind.NON_FINITE),
    (row(2, prices(bid_low="0")), ProblemKind.NON_POSITIVE),
    (row(2, prices(bid_low="-1.1")), ProblemKind.NON_POSITIVE),
    (row(2, prices(ask_high="1e10")), ProblemKind.TOO_LARGE),
    (row(2, prices(bid_open="1.10011")), ProblemKind.CROSSED),
    (row(2, prices(ask_close="1.10009")), ProblemKind.CROSSED),
    (row(2, prices(bid_low="1.10001")), ProblemKind.INCONSISTENT),
    (row(2, prices(bid_high="1.10009")), ProblemKind.INCONSISTENT),
    (row(2, prices(ask_low="1.10011")), ProblemKind.INCONSISTENT),
    (row(2, prices(ask_high="1.10019")), ProblemKind.INCONSISTENT),
    (row(2, prices(ask_high="1.10000", ask_low="1.10030")), ProblemKind.INCONSISTENT),
    (row(2.5), ProblemKind.OFF_GRID),
    (row(1), ProblemKind.DUPLICATE),
    (row(0), ProblemKind.UNORDERED),
]


@pytest.mark.parametrize(("line", "kind"), BAD_LINES)
def test_bad_line_is_named_and_dropped_and_the_next_one_is_kept(line: str, kind: ProblemKind) -> None:
    bars, problems = judged([row(0), row(1), line, row(2)])
    assert minutes_of(bars) == [0, 1, 2]
    assert [(problem.line, problem.kind) for problem in problems] == [(4, kind)]
    assert problems[0].text


def test_problem_shows_the_prices_that_cross() -> None:
    _, problems = judged([row(0, prices(bid_close="1.10021", bid_high="1.10025"))])
    assert problems[0].text == "bid close 1.10021 is above ask close 1.10020"


def test_touching_bid_and_ask_are_sound() -> None:
    bars, problems = judged([row(0, ",".join(["1.1"] * 8))])
    assert (len(bars), problems) == (1, [])


@pytest.mark.parametrize("changed", [{"bid_high": "1.10031"}, {"ask_low": "1.09989"}])
def test_crossed_high_or_low_alone_is_named_and_kept(changed: dict[str, str]) -> None:
    bars, problems = judged([row(0), row(1, prices(**changed))])
    assert minutes_of(bars) == [0, 1]
    assert [(problem.line, problem.kind) for problem in problems] == [(3, ProblemKind.CROSSED_RANGE)]


def test_rounded_prices_are_named_once_and_judged_after_rounding() -> None:
    noisy = prices(bid_close="1.1001000000000001", ask_close="1.1000999999999999")
    bars, problems = judged([row(0), row(1, noisy), row(2, prices(ask_high="1.100311"))])
    assert bars[1].bid_close == bars[1].ask_close == Decimal("1.1001")
    assert bars[2].ask_high == Decimal("1.10031")
    assert [(problem.line, problem.kind) for problem in problems] == [(3, ProblemKind.PRECISION)]


def test_gap_is_named_with_its_length_and_nothing_is_dropped() -> None:
    bars, problems = judged(rows([0, 1, 5, 6, 8]))
    assert minutes_of(bars) == [0, 1, 5, 6, 8]
    assert [(problem.line, problem.kind, problem.missing_ns) for problem in problems] == [
        (4, ProblemKind.GAP, 3 * MINUTE_NS),
        (6, ProblemKind.GAP, MINUTE_NS),
    ]
    assert "from 2014-05-05T00:02:00Z to 2014-05-05T00:05:00Z (3 min" in problems[0].text


def test_weekend_is_no_gap_but_a_missing_day_beside_it_is() -> None:
    sunday_evening = 6 * 1_440 + 21 * 60
    assert judged(rows([FRIDAY_EVENING, sunday_evening]))[1] == []
    _, (gap,) = judged(rows([FRIDAY_EVENING, sunday_evening + 1_440]))
    assert gap.kind is ProblemKind.GAP
    assert 22 * HOUR_NS < gap.missing_ns < 24 * HOUR_NS


def test_line_dropped_for_its_prices_is_not_also_a_gap() -> None:
    _, problems = judged([row(0), row(1, prices(bid_open="9")), row(2)])
    assert [problem.kind for problem in problems] == [ProblemKind.CROSSED]


def test_bad_line_from_the_future_takes_no_other_line_with_it() -> None:
    bars, _ = judged([row(0), row(9_000, prices(bid_open="9")), row(1), row(2)])
    assert minutes_of(bars) == [0, 1, 2]


def test_long_bars_may_follow_new_york_but_not_overlap() -> None:
    def opening(day: int, hour: int, minute: int = 0) -> str:
        return f"{datetime(2014, 3, day, hour, minute, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ},{PRICES}"

    lines = [opening(5, 22), opening(6, 22), opening(7, 21), opening(9, 21), opening(10, 21, 30), opening(10, 21)]
    bars, problems = judged(lines, Granularity.D)
    assert len(bars) == 4
    assert [(problem.line, problem.kind) for problem in problems if problem.kind.drops] == [
        (4, ProblemKind.OFF_GRID),
        (6, ProblemKind.OFF_GRID),
    ]
