"""Whoever only polls /changes knows, after every step of a random life, what the lists say."""

import random
from decimal import Decimal

import pytest

from tests.unit.venue.house import ACCOUNT, House, Row, money

# Price-dependent, and so in the state and not in the changes; financing is told by its transactions.
MOVING = ("unrealizedPL", "marginUsed", "trailingStopValue", "financing")


class Follower:
    """The account as a client keeps it that reads it once and then polls changes."""

    def __init__(self, house: House) -> None:
        account = house.get("")["account"]
        self.house = house
        self.cursor = int(account["lastTransactionID"])
        self.orders = {row["id"]: still(row) for row in account["orders"]}
        self.trades = {row["id"]: still(row) for row in account["trades"]}
        self.balance = money(account["balance"])

    def poll(self) -> Row:
        answer = self.house.get("/changes", sinceTransactionID=self.cursor)
        told = answer["changes"]
        for row in told["ordersCreated"]:
            self.orders[row["id"]] = still(row)
        for row in told["ordersCancelled"] + told["ordersFilled"] + told["ordersTriggered"]:
            self.orders.pop(row["id"], None)
        for row in told["tradesOpened"] + told["tradesReduced"]:
            self.trades[row["id"]] = still(row)
        for row in told["tradesClosed"]:
            self.trades.pop(row["id"], None)
        for row in told["transactions"]:
            self.balance = money(row.get("accountBalance", str(self.balance)))
        self.cursor = int(answer["lastTransactionID"])
        state: Row = answer["state"]
        return state


def still(row: Row) -> Row:
    """A row without what moves with prices, and without the orders of a trade, which change without it."""
    kept = {name: value for name, value in row.items() if name not in MOVING}
    return {name: value for name, value in kept.items() if not name.endswith(("Order", "OrderID"))}


def act(house: House, chance: random.Random, trades: list[str], orders: list[str]) -> None:
    """Do one thing that a client or the market might do."""
    mid = Decimal("1.10000") + Decimal(chance.randint(-60, 60)) * Decimal("0.00010")
    near = str(mid + Decimal(chance.choice((-30, -10, 10, 30))) * Decimal("0.00010"))
    units = str(chance.choice((-1, 1)) * chance.randint(1, 900))
    words = {"takeProfitOnFill": {"price": near}, "stopLossOnFill": {"distance": "0.00200"}}
    guards = {name: words[name] for name in words if chance.random() < 0.4}
    if chance.random() < 0.3:
        guards["trailingStopLossOnFill"] = {"distance": "0.00150"}
    kind = chance.randrange(8)
    if kind <= 1:
        house.set_price(str(mid), str(mid + Decimal("0.00012")), tradeable=chance.random() > 0.1)
    elif kind == 2:
        house.order(units=units, **guards)
    elif kind == 3:
        fill = chance.choice(("DEFAULT", "REDUCE_ONLY", "OPEN_ONLY", "REDUCE_FIRST"))
        sort = chance.choice(("LIMIT", "STOP", "MARKET_IF_TOUCHED"))
        house.order(type=sort, units=units, price=near, positionFill=fill, **guards)
    elif kind == 4 and trades:
        put(house, f"/trades/{chance.choice(trades)}/close", {"units": "1"})
    elif kind == 5 and trades:
        put(house, f"/trades/{chance.choice(trades)}/orders", {"stopLoss": {"price": near}, "takeProfit": None})
    elif kind == 6 and orders:
        put(house, f"/orders/{chance.choice(orders)}/cancel", {})
    elif kind == 7:
        house.skip(chance.randint(1, 400))


def put(house: House, path: str, body: Row) -> None:
    """Ask for something that may be gone by now: the follower has not looked for a while."""
    answer = house.session.put(f"{house.url}/v3/accounts/{ACCOUNT}{path}", json=body, timeout=5)
    assert answer.status_code in (200, 400, 404), answer.text


@pytest.mark.parametrize("seed", range(4))
def test_polling_changes_is_enough(house: House, seed: int) -> None:
    chance = random.Random(seed)
    house.set_price("1.10000", "1.10012")
    follower = Follower(house)
    for _ in range(150):
        act(house, chance, list(follower.trades), list(follower.orders))
        if chance.random() < 0.3:
            continue
        state = follower.poll()
        account = house.get("")["account"]
        assert {row["id"]: still(row) for row in account["orders"]} == follower.orders
        assert {row["id"]: still(row) for row in account["trades"]} == follower.trades
        assert money(account["balance"]) == follower.balance
        assert {name: account[name] for name in ("NAV", "unrealizedPL", "marginUsed", "marginAvailable")} == {
            name: state[name] for name in ("NAV", "unrealizedPL", "marginUsed", "marginAvailable")
        }
        assert {row["id"]: row["unrealizedPL"] for row in state["trades"]} == {
            row["id"]: row["unrealizedPL"] for row in account["trades"]
        }
        assert money(account["NAV"]) == follower.balance + sum(money(row["unrealizedPL"]) for row in state["trades"])
        for trade in house.get("/openTrades")["trades"]:
            for name in ("takeProfitOrder", "stopLossOrder", "trailingStopLossOrder"):
                assert name not in trade or trade[name]["id"] in follower.orders
