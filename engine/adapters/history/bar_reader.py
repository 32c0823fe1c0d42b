"""I am the judge of lines: each becomes one sound bar, or a problem with its line number and reason.
I may import the domain and the fields, problems and moments of this folder.
I must not repair a bar, fill a gap, or drop a line without naming it.
My tests are in tests/unit/adapters/history/test_bar_reader.py.

A line is dropped when it cannot be one sound bar after the bars above it. Three findings are named and their bars
kept: a gap (recorded markets have minutes without ticks), prices with more decimals than the instrument (rounded
half-even, named once: every price of a file written from floats has them), and a bid high or low above the ask's
while open and close are in order. The last is what feeds that record bid and ask apart leave behind; a quote is made
from open and close only, so no crossed quote comes of it.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from engine.adapters.history.fields import Header, LineFault, Prices, Times, shown
from engine.adapters.history.imported import Problem, ProblemKind
from engine.adapters.history.moments import HOUR_NS, duration_text, market_time_ns
from engine.domain.calendar import iso_utc
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Granularity


class BarReader:
    """Judges the lines of one file in turn; lines and problems fill up as bars are taken."""

    def __init__(self, instrument: Instrument, granularity: Granularity, header: Header) -> None:
        self.lines = 0
        self.problems: list[Problem] = []
        self._instrument = instrument
        self._granularity = granularity
        self._header = header
        self._times = Times()
        self._prices = Prices(instrument)
        self._length_ns = granularity.ns
        # OANDA aligns bars of up to an hour to UTC; longer ones follow New York and shift by an hour twice a year.
        self._grid_ns = min(granularity.ns, HOUR_NS)
        self._kept_ns: int | None = None
        self._seen_end_ns: int | None = None
        self._rounding_named = False

    def bars(self, rows: Iterable[tuple[int, str]]) -> Iterator[Bar]:
        """Yield the sound bar of each numbered line; a line without one becomes a problem instead."""
        for number, line in rows:
            self.lines += 1
            try:
                bar = self._bar(number, line)
            except LineFault as fault:
                self._note(number, fault.kind, fault.text)
                continue
            self._kept_ns = bar.open_ts_ns
            yield bar

    def _bar(self, number: int, line: str) -> Bar:
        time_text, price_texts = self._header.split(line)
        ts_ns = self._times.ns(time_text)
        self._check_time(ts_ns)
        self._check_gap(number, ts_ns)
        prices = self._prices
        bid_open, bid_high, bid_low, bid_close, ask_open, ask_high, ask_low, ask_close = [
            prices[text] for text in price_texts
        ]
        self._note_rounding(number)
        bar = Bar(
            instrument=self._instrument.name,
            granularity=self._granularity,
            open_ts_ns=ts_ns,
            bid_open=bid_open,
            bid_high=bid_high,
            bid_low=bid_low,
            bid_close=bid_close,
            ask_open=ask_open,
            ask_high=ask_high,
            ask_low=ask_low,
            ask_close=ask_close,
        )
        _check_prices(bar)
        self._note_crossed_range(number, bar)
        return bar

    def _check_time(self, ts_ns: int) -> None:
        """Raise LineFault unless a bar at this time is on the grid and begins after the last one kept has ended."""
        if ts_ns % self._grid_ns:
            raise LineFault(ProblemKind.OFF_GRID, f"{iso_utc(ts_ns)} is not the start of a bar of {self._granularity}")
        last_ns = self._kept_ns
        if last_ns is None or ts_ns >= last_ns + self._length_ns:
            return
        if ts_ns == last_ns:
            raise LineFault(ProblemKind.DUPLICATE, f"{iso_utc(ts_ns)} was there before")
        if ts_ns < last_ns:
            raise LineFault(ProblemKind.UNORDERED, f"{iso_utc(ts_ns)} comes after {iso_utc(last_ns)}")
        raise LineFault(ProblemKind.OFF_GRID, f"{iso_utc(ts_ns)} is within the bar of {iso_utc(last_ns)}")

    def _check_gap(self, number: int, ts_ns: int) -> None:
        """Note market time between this line and the one before; lines dropped for their prices are no gap."""
        seen_ns = self._seen_end_ns
        if seen_ns is not None and ts_ns > seen_ns:
            missing_ns = market_time_ns(seen_ns, ts_ns)
            if missing_ns >= self._length_ns:
                text = f"no bars from {iso_utc(seen_ns)} to {iso_utc(ts_ns)} ({duration_text(missing_ns)} of trading)"
                self._note(number, ProblemKind.GAP, text, missing_ns)
        self._seen_end_ns = ts_ns + self._length_ns

    def _note_rounding(self, number: int) -> None:
        rounded = self._prices.rounded
        if rounded is not None and not self._rounding_named:
            self._rounding_named = True
            text = (
                f"price {shown(rounded)} has more than the {self._instrument.price_decimals} decimals of the instrument"
            )
            self._note(number, ProblemKind.PRECISION, text)

    def _note_crossed_range(self, number: int, bar: Bar) -> None:
        if bar.bid_high > bar.ask_high or bar.bid_low > bar.ask_low:
            at = "high" if bar.bid_high > bar.ask_high else "low"
            self._note(number, ProblemKind.CROSSED_RANGE, f"bid {at} is above ask {at}")

    def _note(self, number: int, kind: ProblemKind, text: str, missing_ns: int = 0) -> None:
        self.problems.append(Problem(line=number, kind=kind, text=text, missing_ns=missing_ns))


def _check_prices(bar: Bar) -> None:
    """Raise LineFault when bid is above ask at open or close, or an open or close is outside its own low..high."""
    _check_spread("open", bar.bid_open, bar.ask_open)
    _check_spread("close", bar.bid_close, bar.ask_close)
    _check_range("bid", bar.bid_low, bar.bid_high, bar.bid_open, bar.bid_close)
    _check_range("ask", bar.ask_low, bar.ask_high, bar.ask_open, bar.ask_close)


def _check_spread(at: str, bid: Decimal, ask: Decimal) -> None:
    if bid > ask:
        raise LineFault(ProblemKind.CROSSED, f"bid {at} {bid} is above ask {at} {ask}")


def _check_range(side: str, low: Decimal, high: Decimal, first: Decimal, last: Decimal) -> None:
    if not (low <= first <= high and low <= last <= high):
        text = f"{side} open {first} and close {last} are not both from low {low} to high {high}"
        raise LineFault(ProblemKind.INCONSISTENT, text)
