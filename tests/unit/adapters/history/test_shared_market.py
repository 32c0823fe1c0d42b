"""Real recordings, read by the engine and counted again by plain means."""

import csv
import gzip
from datetime import datetime
from pathlib import Path

import pytest

from engine.adapters.history.csv_bars import ImportedBars, ProblemKind, read_bars
from engine.adapters.history.market_data import RecordedBars
from engine.domain.market import Granularity
from tests.unit.adapters.history.rows import KNOWN, ns_of

MARKET = Path(__file__).resolve().parents[4] / "../shared/market"
FXCM = "fxcm_GBP_USD_M1_2012-02.csv.gz"
OANDA = {
    "oanda_EUR_USD_H1_2007-2018.csv.gz": Granularity.H1,
    "oanda_NZD_USD_H1_2007-2018.csv.gz": Granularity.H1,
    "oanda_EUR_USD_M1_2014-05.csv.gz": Granularity.M1,
    "oanda_NZD_USD_M1_2014-05.csv.gz": Granularity.M1,
}

pytestmark = pytest.mark.skipif(
    not MARKET.is_dir(), reason="needs the recordings of ../shared/market beside the project"
)


def plain(name: str) -> list[dict[str, str]]:
    with gzip.open(MARKET / name, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read(name: str) -> ImportedBars:
    return read_bars(MARKET / name, known=KNOWN)


def lines_of(imported: ImportedBars, kind: ProblemKind) -> list[int]:
    return [problem.line for problem in imported.problems if problem.kind is kind]


def crossed(line: dict[str, str], *at: str) -> bool:
    return any(float(line[f"bid_{one}"]) > float(line[f"ask_{one}"]) for one in at)


def test_crossed_bars_of_fxcm_are_named_and_dropped() -> None:
    lines = plain(FXCM)
    bad = [number for number, line in enumerate(lines, start=2) if crossed(line, "open", "close")]
    ranges = [number for number, line in enumerate(lines, start=2) if crossed(line, "high", "low")]
    imported = read(FXCM)
    assert len(bad) == 676
    assert lines_of(imported, ProblemKind.CROSSED) == bad
    assert lines_of(imported, ProblemKind.CROSSED_RANGE) == sorted(set(ranges) - set(bad))
    assert imported.dropped == len(bad)
    assert (imported.lines, len(imported.bars)) == (len(lines), len(lines) - len(bad))
    assert imported.instrument == "GBP_USD"
    assert imported.granularity is Granularity.M1


@pytest.mark.parametrize("name", OANDA)
def test_oanda_files_are_read_to_the_last_bar_and_price(name: str) -> None:
    lines = plain(name)
    imported = read(name)
    assert imported.granularity is OANDA[name]
    assert imported.dropped == 0
    assert {problem.kind for problem in imported.problems} == {ProblemKind.GAP}
    assert [bar.open_ts_ns for bar in imported.bars] == [ns_of(datetime.fromisoformat(line["time"])) for line in lines]
    for column in lines[0].keys() - {"time"}:
        assert [float(getattr(bar, column)) for bar in imported.bars] == [float(line[column]) for line in lines]


@pytest.mark.parametrize("name", OANDA)
def test_gaps_are_the_holes_between_lines_but_for_weekends(name: str) -> None:
    opens = [datetime.fromisoformat(line["time"]) for line in plain(name)]
    length_s = OANDA[name].seconds
    holes = {
        number: (earlier, later)
        for number, (earlier, later) in enumerate(zip(opens, opens[1:], strict=False), start=3)
        if (later - earlier).total_seconds() > length_s
    }
    named = set(lines_of(read(name), ProblemKind.GAP))
    assert named <= holes.keys()
    for number in holes.keys() - named:
        earlier, later = holes[number]
        assert (earlier.weekday(), later.weekday()) == (4, 6), f"line {number} of {name}"
        assert earlier.hour >= 19 and later.hour <= 22


def test_two_instruments_merge_with_each_bar_once() -> None:
    series = [read("oanda_EUR_USD_M1_2014-05.csv.gz"), read("oanda_NZD_USD_M1_2014-05.csv.gz")]
    source = RecordedBars(series, 31)
    before = {one.instrument: list(source.history(one.instrument, Granularity.M1, 10_000)) for one in series}
    ends = []
    while (end_ns := source.peek_ns()) is not None:
        ends.append(end_ns)
        for bar in source.pop():
            assert bar.close_ts_ns == end_ns
            before[bar.instrument].append(bar)
    assert ends == sorted(set(ends))
    assert ends[0] > source.start_ns
    assert {name: tuple(bars) for name, bars in before.items()} == {one.instrument: one.bars for one in series}
    assert len(ends) < source.bars_to_play
