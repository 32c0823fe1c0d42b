"""What positions and unfinished orders add up to at worst, against sums made by hand and by trying every outcome."""

from decimal import Decimal
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.instrument import Instrument
from engine.risk.exposure import NOTHING, Exposure, Stake, exposure_of, plus, worst
from tests.unit.made import EUR_USD, quote

D = Decimal
GBP_USD = replace(EUR_USD, name="GBP_USD", margin_rate=D("0.05"))
USD_JPY = replace(EUR_USD, name="USD_JPY", price_decimals=3, pip_size=D("0.01"), margin_rate=D("0.04"))
RATES = {"EUR_USD": D(1), "GBP_USD": D(1), "USD_JPY": D("0.01")}


def stake(instrument: Instrument, units: str, mid: str, *, buying: str = "0", selling: str = "0") -> Stake:
    price = quote(mid, mid, instrument.name, RATES[instrument.name])
    return Stake(instrument=instrument, quote=price, units=D(units), buying=D(buying), selling=D(selling))


def test_nothing_adds_up_to_nothing() -> None:
    assert exposure_of([]) == Exposure()
    assert worst(NOTHING) == 0


def test_legs_are_the_sums_made_by_hand() -> None:
    held = [stake(EUR_USD, "10000", "1.10"), stake(GBP_USD, "5000", "1.30"), stake(USD_JPY, "-2000", "100")]
    total = exposure_of(held)
    # long EUR_USD sells 11,000 USD, long GBP_USD sells 6,500 USD, short USD_JPY sells 2,000 USD worth 2,000 at home
    assert total.legs_home["EUR"] == (D(11_000), D(11_000))
    assert total.legs_home["GBP"] == (D(6_500), D(6_500))
    assert total.legs_home["JPY"] == (D(2_000), D(2_000))
    assert total.legs_home["USD"] == (D(-19_500), D(-19_500))
    assert worst(total.legs_home["USD"]) == 19_500
    assert total.gross_home == 19_500
    assert total.net_home == (D(15_500), D(15_500))
    assert total.margin_home == 11_000 * EUR_USD.margin_rate + 6_500 * D("0.05") + 2_000 * D("0.04")


def test_positions_against_one_another_offset_in_net_and_legs_but_not_in_size() -> None:
    total = exposure_of([stake(EUR_USD, "10000", "1.10"), stake(GBP_USD, "-5000", "1.30")])
    assert (total.gross_home, total.net_home) == (D(17_500), (D(4_500), D(4_500)))
    assert total.legs_home["USD"] == (D(-4_500), D(-4_500))


def test_unfinished_orders_widen_both_ends() -> None:
    total = exposure_of([stake(EUR_USD, "1000", "1.00", buying="500", selling="-3000")])
    assert total.net_home == total.legs_home["EUR"] == (D(-2_000), D(1_500))
    assert total.legs_home["USD"] == (D(-1_500), D(2_000))
    assert worst(total.net_home) == 2_000
    assert total.gross_home == 4_500
    assert total.margin_home == 4_500 * EUR_USD.margin_rate


def test_a_quote_with_a_spread_counts_at_its_middle_and_at_home() -> None:
    one = Stake(instrument=USD_JPY, quote=quote("99", "101", "USD_JPY", "0.01"), units=D(300))
    assert one.unit_home == 1
    assert exposure_of([one]).gross_home == 300


def test_plus_and_worst() -> None:
    assert plus((D(-1), D(2)), (D(-3), D(5))) == (D(-4), D(7))
    assert (worst((D(-4), D(3))), worst((D(-2), D(3))), worst((D(-9), D(-1)))) == (4, 3, 9)


amounts = st.integers(-20, 20).map(lambda number: D(number) * 100)
orders = st.lists(amounts.filter(bool), max_size=3)
books = st.tuples(amounts, orders)


@given(books, books, books)
def test_worst_bounds_whatever_becomes_of_unfinished_orders(
    eur: tuple[D, list[D]], gbp: tuple[D, list[D]], jpy: tuple[D, list[D]]
) -> None:
    drawn = [(EUR_USD, "1.10", *eur), (GBP_USD, "1.30", *gbp), (USD_JPY, "100", *jpy)]
    waiting = [
        stake(
            instrument,
            str(units),
            mid,
            buying=str(sum((one for one in sent if one > 0), D(0))),
            selling=str(sum((one for one in sent if one < 0), D(0))),
        )
        for instrument, mid, units, sent in drawn
    ]
    total = exposure_of(waiting)
    reached_net = set[Decimal]()
    for outcome in product(*(product((0, 1), repeat=len(sent)) for _, _, _, sent in drawn)):
        filled = [
            stake(instrument, str(units + sum((one for one, done in zip(sent, bits, strict=True) if done), D(0))), mid)
            for (instrument, mid, units, sent), bits in zip(drawn, outcome, strict=True)
        ]
        real = exposure_of(filled)
        assert real.gross_home <= total.gross_home
        assert real.margin_home <= total.margin_home
        assert total.net_home[0] <= real.net_home[0] <= total.net_home[1]
        assert worst(real.net_home) <= worst(total.net_home)
        for currency, span in real.legs_home.items():
            low, high = total.legs_home[currency]
            assert low <= span[0] == span[1] <= high
            assert worst(span) <= worst(total.legs_home[currency])
        reached_net.add(real.net_home[0])
    assert {total.net_home[0], total.net_home[1]} <= reached_net, "the ends are no farther than what can happen"
