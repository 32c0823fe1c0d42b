"""What a blocked signal is said to have come to is what the simulated broker books when nothing blocks it."""

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.command import PauseEntries
from engine.domain.market import Bar, Granularity
from tests.unit.session.rig import MINUTE_NS, MONDAY_NS, make_rig
from tests.unit.session.test_shadows import OPEN, outcomes

BARS = 60
POINT = Decimal("0.00001")
REASONS = {"stop loss": "stop", "take profit": "target"}

# long ones touch stop and target in the same bar; none is so short that another would be called too volatile
reaches = st.integers(20, 60) | st.integers(60, 320)
steps = st.lists(
    st.tuples(
        st.integers(-80, 80) | st.integers(-250, 250),  # from the last close to this open; the stop is 100 points away
        st.integers(-60, 60),
        reaches,
        reaches,
        st.integers(5, 25),
        st.integers(0, 25),
    ),
    min_size=BARS,
    max_size=BARS,
)
signals = st.dictionaries(st.integers(6, BARS - 2), st.sampled_from((-1, 1)), min_size=1, max_size=20)


def walk(moves: list[tuple[int, int, int, int, int, int]]) -> list[Bar]:
    """Bars that jump, with a spread that moves inside them as well."""
    bars, last = [], 110_000
    for index, (jump, body, above, below, spread, more) in enumerate(moves):
        opened, closed = last + jump, last + jump + body
        high, low = max(opened, closed) + above, min(opened, closed) - below
        bids, asks = (opened, high, low, closed), (opened + spread, high + spread + more, low + spread, closed + spread)
        prices = [points * POINT for points in (*bids, *asks)]
        bars.append(
            Bar(
                instrument="EUR_USD",
                granularity=Granularity.M1,
                open_ts_ns=MONDAY_NS + index * MINUTE_NS,
                bid_open=prices[0],
                bid_high=prices[1],
                bid_low=prices[2],
                bid_close=prices[3],
                ask_open=prices[4],
                ask_high=prices[5],
                ask_low=prices[6],
                ask_close=prices[7],
            )  # fmt: skip
        )
        last = closed
    return bars


def traded(folder: Path, bars: list[Bar], script: dict[int, int]) -> list[tuple[object, ...]]:
    rig = make_rig(folder, [bars], script, limits=OPEN)
    rig.play()
    assert rig.rows("SELECT count(*) FROM decisions WHERE action = 'denied'") == [(0,)]
    rows = rig.rows(
        "SELECT entry_ns, side, units, entry_price, exit_ns, exit_price, realized_pl_home + 0, exit_reason FROM trades"
        " WHERE state = 'CLOSED' ORDER BY entry_ns"
    )
    pl = [Decimal(text) for (text,) in rig.rows(
        "SELECT realized_pl_home FROM trades WHERE state = 'CLOSED' ORDER BY entry_ns")]  # fmt: skip
    rig.close()
    return [
        (entry_ns, side, Decimal(units), Decimal(entry), exit_ns, Decimal(left), result, REASONS.get(reason, "signal"))
        for (entry_ns, side, units, entry, exit_ns, left, _, reason), result in zip(rows, pl, strict=True)
    ]


def shadowed(folder: Path, bars: list[Bar], script: dict[int, int]) -> list[tuple[object, ...]]:
    rig = make_rig(folder, [bars], script, limits=OPEN)
    rig.command(PauseEntries(command_id="p"))
    rig.play()
    assert rig.rows("SELECT count(*) FROM orders") == [(0,)]
    found = [
        (
            one.bar_ts_ns + MINUTE_NS, "long" if one.direction > 0 else "short", abs(one.units), one.entry_price,
            one.ts_ns, one.exit_price, one.result_home, str(one.ended),
        )
        for one in outcomes(rig)
    ]  # fmt: skip
    rig.close()
    return found


@settings(max_examples=60)
@given(steps, signals)
def test_a_shadow_ends_as_the_broker_would_have_booked_it(
    moves: list[tuple[int, int, int, int, int, int]], script: dict[int, int]
) -> None:
    bars = walk(moves)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        assert shadowed(Path(one), bars, script) == traded(Path(other), bars, script)
