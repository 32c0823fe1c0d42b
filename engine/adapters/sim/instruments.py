"""I am the sandbox's list of instruments and how tightly and busily each one is quoted.
I may import the domain and financing.
I must not be used for a real account: a broker's own list is read from the broker.
My tests are in tests/unit/adapters/sim/test_instruments.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from msgspec.structs import replace

from engine.adapters.sim.financing import default_rates
from engine.domain.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidity:
    """How an instrument is quoted in a normal London hour: spread in pips, ticks per five seconds."""

    spread_pips: float
    ticks_per_5s: float


# Name, spread in pips, ticks per five seconds. Typical retail figures, chosen for the sandbox, not read from a broker.
_QUOTED: tuple[tuple[str, float, float], ...] = (
    ("EUR_USD", 0.9, 9.0),
    ("GBP_USD", 1.3, 9.0),
    ("USD_JPY", 1.1, 10.0),
    ("AUD_USD", 1.2, 7.0),
    ("NZD_USD", 1.5, 6.0),
    ("USD_CHF", 1.4, 7.0),
    ("USD_CAD", 1.5, 7.0),
    ("USD_SGD", 2.4, 5.0),
    ("USD_SEK", 38.0, 5.0),
    ("USD_NOK", 42.0, 5.0),
    ("EUR_GBP", 1.2, 7.0),
    ("EUR_JPY", 1.6, 10.0),
    ("EUR_CHF", 1.6, 7.0),
    ("EUR_AUD", 2.2, 8.0),
    ("EUR_NZD", 3.0, 7.0),
    ("EUR_CAD", 2.1, 8.0),
    ("EUR_SGD", 3.4, 5.0),
    ("EUR_SEK", 40.0, 5.0),
    ("EUR_NOK", 45.0, 5.0),
    ("GBP_JPY", 2.3, 11.0),
    ("GBP_CHF", 2.4, 8.0),
    ("GBP_AUD", 2.9, 9.0),
    ("GBP_NZD", 3.9, 8.0),
    ("GBP_CAD", 2.8, 8.0),
    ("AUD_JPY", 1.7, 9.0),
    ("AUD_NZD", 2.2, 6.0),
    ("AUD_CAD", 2.0, 6.0),
    ("AUD_CHF", 2.0, 6.0),
    ("NZD_JPY", 2.1, 7.0),
    ("NZD_CAD", 2.4, 6.0),
    ("NZD_CHF", 2.5, 6.0),
    ("CAD_JPY", 2.0, 8.0),
    ("CAD_CHF", 2.3, 6.0),
    ("CHF_JPY", 2.3, 8.0),
    ("XAU_USD", 28.0, 14.0),
    ("XAG_USD", 200.0, 9.0),
)

_METALS = ("XAU", "XAG")
_UNITS_MAX = {"XAU": Decimal(10_000), "XAG": Decimal(500_000)}
_MARGIN_RATE = {"XAU": Decimal("0.05"), "XAG": Decimal("0.10"), "SGD": Decimal("0.05")}


def _instrument(name: str) -> Instrument:
    """Derive precision, limits and margin from the name.

    Precision and pip follow OANDA v20 (displayPrecision 3 and pipLocation -2 for JPY and gold, else 5 and -4). Margin
    is 2 % of major and 5 % of other currencies as in NFA Financial Requirements section 12; metals are a choice.
    """
    base, quote = name.split("_")
    coarse = quote == "JPY" or base == "XAU"
    instrument = Instrument(
        name=name,
        price_decimals=3 if coarse else 5,
        pip_size=Decimal("0.01") if coarse else Decimal("0.0001"),
        units_decimals=0,
        units_min=Decimal(1),
        units_max=_UNITS_MAX.get(base, Decimal(100_000_000)),
        margin_rate=max(_MARGIN_RATE.get(currency, Decimal("0.02")) for currency in (base, quote)),
    )
    rates = default_rates(instrument)
    return replace(instrument, financing_long=rates.long, financing_short=rates.short)


CATALOGUE: Mapping[str, Instrument] = MappingProxyType({name: _instrument(name) for name, _, _ in _QUOTED})

LIQUIDITY: Mapping[str, Liquidity] = MappingProxyType(
    {name: Liquidity(spread_pips=spread, ticks_per_5s=ticks) for name, spread, ticks in _QUOTED}
)


def is_metal(instrument: Instrument) -> bool:
    """Say whether the instrument is a metal, which pauses longer than currencies each day."""
    return instrument.base in _METALS
