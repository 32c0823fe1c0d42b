"""I am the comparison of our books with the broker's: what differs, in words.
I may import the domain.
I must not change either side, nor call a difference small.
My tests are in tests/unit/test_reconciliation.py.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from engine.domain.account import Holdings, Trade


def breaks(balance_home: Decimal, trades: Iterable[Trade], holdings: Holdings) -> tuple[str, ...]:
    """Compare balance and open trades as of one transaction; one short text for each difference.

    A stop is compared by its presence: its price is known from the same transactions that both sides were made of.
    """
    return tuple(_breaks(balance_home, {trade.trade_id: trade for trade in trades}, holdings))


def _breaks(balance_home: Decimal, ours: dict[str, Trade], holdings: Holdings) -> Iterator[str]:
    if balance_home != holdings.balance_home:
        yield f"the broker's balance is {holdings.balance_home}, ours is {balance_home}"
    theirs = {trade.trade_id: trade for trade in holdings.trades}
    for trade in ours.values():
        if trade.trade_id not in theirs:
            yield f"trade {trade.trade_id} ({trade.units} {trade.instrument}) is open in our books alone"
    for trade in theirs.values():
        yield from _difference(ours.get(trade.trade_id), trade)


def _difference(ours: Trade | None, theirs: Trade) -> Iterator[str]:
    name = f"trade {theirs.trade_id} ({theirs.units} {theirs.instrument})"
    if ours is None:
        yield f"{name} is open at the broker alone"
    elif (ours.instrument, ours.units) != (theirs.instrument, theirs.units):
        yield f"{name} is of {ours.units} {ours.instrument} in our books"
    elif (ours.stop_loss is None) != (theirs.stop_loss is None):
        has, lacks = ("our books", "the broker's") if theirs.stop_loss is None else ("the broker's", "our books")
        yield f"{name} has a stop-loss in {has} and none in {lacks}"
