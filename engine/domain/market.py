"""I am what the market says: quotes, closed bars, granularities, and how old a quote is.
I may import decimal and error.
I must not read a clock; whoever asks for an age brings the time.
My tests are in tests/unit/domain/test_market.py.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.domain.error import ConfigError

NS_PER_S = 1_000_000_000

_SECONDS = {
    "S5": 5, "S10": 10, "S15": 15, "S30": 30,
    "M1": 60, "M2": 120, "M4": 240, "M5": 300, "M10": 600, "M15": 900, "M30": 1_800,
    "H1": 3_600, "H2": 7_200, "H3": 10_800, "H4": 14_400, "H6": 21_600, "H8": 28_800, "H12": 43_200, "D": 86_400,
}  # fmt: skip


class Granularity(StrEnum):
    """Length of a bar, by OANDA's names (S = seconds, M = minutes, H = hours, D = day), in `seconds` and in `ns`."""

    # plain attributes: a bar asks for its length several times, and a look-up by member hashes in Python
    seconds: int
    ns: int

    def __new__(cls, name: str) -> "Granularity":
        """Make the member of this name and give it its length."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.seconds = _SECONDS[name]
        member.ns = _SECONDS[name] * NS_PER_S
        return member

    S5 = "S5"
    S10 = "S10"
    S15 = "S15"
    S30 = "S30"
    M1 = "M1"
    M2 = "M2"
    M4 = "M4"
    M5 = "M5"
    M10 = "M10"
    M15 = "M15"
    M30 = "M30"
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"
    H4 = "H4"
    H6 = "H6"
    H8 = "H8"
    H12 = "H12"
    D = "D"

    @classmethod
    def parse(cls, text: str) -> "Granularity":
        """Turn text into a granularity; raises ConfigError that lists the allowed ones."""
        if text not in _SECONDS:
            raise ConfigError(f"Granularity {text!r} is unknown; allowed are {', '.join(_SECONDS)}.")
        return cls(text)

    @classmethod
    def from_seconds(cls, seconds: int) -> "Granularity | None":
        """Find the granularity of exactly this length in seconds."""
        return next((cls(name) for name, length in _SECONDS.items() if length == seconds), None)


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bid and ask now, in quote currency.

    home_rate is the value of one unit of the quote currency in the account's home currency (mid, no charge);
    home_loss_rate is what the broker would book for a loss of one unit, where that differs.
    ts_ns is the venue's time, received_ns ours.
    """

    instrument: str
    bid: Decimal
    ask: Decimal
    ts_ns: int
    received_ns: int
    home_rate: Decimal
    tradeable: bool = True
    home_loss_rate: Decimal | None = None

    @property
    def loss_rate(self) -> Decimal:
        """What one unit of a loss in quote currency costs at home when it is booked, conversion charge included."""
        return self.home_rate if self.home_loss_rate is None else self.home_loss_rate

    @property
    def mid(self) -> Decimal:
        """Middle of bid and ask, in quote currency."""
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> Decimal:
        """Ask minus bid, in quote currency."""
        return self.ask - self.bid

    def age_s(self, now_ns: int) -> float:
        """Seconds since the venue made this quote; negative when the quote is from the future."""
        return (now_ns - self.ts_ns) / NS_PER_S


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One closed candle with its bid and ask prices, in quote currency.

    open_ts_ns is the start of the bar; a bar object exists only once the bar is complete.
    """

    instrument: str
    granularity: Granularity
    open_ts_ns: int
    bid_open: Decimal
    bid_high: Decimal
    bid_low: Decimal
    bid_close: Decimal
    ask_open: Decimal
    ask_high: Decimal
    ask_low: Decimal
    ask_close: Decimal
    tick_count: int = 0

    @property
    def close_ts_ns(self) -> int:
        """End of the bar (exclusive), which is when it may first be acted upon."""
        return self.open_ts_ns + self.granularity.ns
