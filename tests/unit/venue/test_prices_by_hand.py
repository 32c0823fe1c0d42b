"""What follows from a price, over HTTP: netting, triggers, expiry, closeout, and how changes and streams tell it."""

import json
import threading
from decimal import Decimal
from typing import Any

import oandapyV20
import pytest
from oandapyV20.endpoints import transactions

from tests.unit.venue.house import ACCOUNT, TOKEN, House, Row, money


def changes(house: House, since: int) -> Row:
    """The answer of /changes; every id that it names in its transactions is in one of its lists or still open."""
    answer = house.get("/changes", sinceTransactionID=since)
    assert [int(row["id"]) for row in answer["changes"]["transactions"]] == list(
        range(since + 1, int(answer["lastTransactionID"]) + 1)
    )
    return answer


def identities_hold(house: House) -> None:
    """Balance, P/L and margin of account, positions and trades are sums of one another, to the last digit."""
    account = house.summary()
    trades = house.get("/openTrades")["trades"]
    positions = house.get("/openPositions")["positions"]
    unrealized = sum(money(trade["unrealizedPL"]) for trade in trades)
    assert unrealized == money(account["unrealizedPL"]) == sum(money(each["unrealizedPL"]) for each in positions)
    assert money(account["NAV"]) == money(account["balance"]) + unrealized
    margin = sum(money(trade["marginUsed"]) for trade in trades)
    assert margin == money(account["marginUsed"]) == sum(money(each["marginUsed"]) for each in positions)
    rows = house.get("/transactions/idrange", **{"from_": 1, "to": account["lastTransactionID"]})["transactions"]
    booked = Decimal(0)
    for row in rows:
        booked += money(row.get("amount", "0")) + money(row.get("pl", "0")) + money(row.get("financing", "0"))
        if "accountBalance" in row:
            assert booked == money(row["accountBalance"]), row
    assert booked == money(account["balance"])
    assert money(account["pl"]) == sum(money(row.get("pl", "0")) for row in rows)


def test_an_opposite_order_nets_through_zero(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    first, second = house.bought(300), house.bought(200)
    before = house.last_id()
    house.set_price("1.10107", "1.10117")
    fill = house.bought(-700)
    assert [part["tradeID"] for part in fill["tradesClosed"]] == [first["id"], second["id"]]
    assert [part["units"] for part in fill["tradesClosed"]] == ["-300", "-200"]
    assert (fill["tradeOpened"]["units"], fill["units"]) == ("-200", "-700")
    assert money(fill["pl"]) == Decimal("0.4850")
    assert "tradeReduced" not in fill
    (position,) = house.get("/openPositions")["positions"]
    assert (position["long"]["units"], position["short"]["units"]) == ("0", "-200")
    told = changes(house, before)["changes"]
    assert [trade["id"] for trade in told["tradesClosed"]] == [first["id"], second["id"]]
    assert [trade["id"] for trade in told["tradesOpened"]] == [fill["id"]]
    assert told["tradesReduced"] == []
    identities_hold(house)


def test_a_smaller_opposite_order_reduces_the_oldest_trade(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    first, second = house.bought(-300), house.bought(-200)
    fill = house.bought(400)
    assert [part["tradeID"] for part in fill["tradesClosed"]] == [first["id"]]
    assert (fill["tradeReduced"]["tradeID"], fill["tradeReduced"]["units"]) == (second["id"], "100")
    trade = house.get(f"/trades/{second['id']}")["trade"]
    assert (trade["currentUnits"], trade["initialUnits"]) == ("-100", "-200")
    identities_hold(house)


@pytest.mark.parametrize(
    ("kind", "at", "reason"),
    [
        ({"takeProfitOnFill": {"price": "1.10200"}}, ("1.10200", "1.10210"), "TAKE_PROFIT_ORDER"),
        ({"stopLossOnFill": {"price": "1.09900"}}, ("1.09850", "1.09860"), "STOP_LOSS_ORDER"),
        ({"stopLossOnFill": {"distance": "0.00110"}}, ("1.09900", "1.09910"), "STOP_LOSS_ORDER"),
        ({"trailingStopLossOnFill": {"distance": "0.00100"}}, ("1.09900", "1.09910"), "TRAILING_STOP_LOSS_ORDER"),
    ],
)
def test_what_waits_to_close_a_trade_fires_and_is_told_everywhere(
    house: House, kind: Row, at: tuple[str, str], reason: str
) -> None:
    house.set_price("1.10000", "1.10010")
    fill = house.bought(1_000, **kind)
    before = house.last_id()
    house.set_price(*at)
    rows = house.since(before)
    assert [row["type"] for row in rows] == ["ORDER_FILL"]
    assert (rows[0]["reason"], rows[0]["price"], rows[0]["units"]) == (reason, at[0], "-1000")
    trade = house.get(f"/trades/{fill['id']}")["trade"]
    assert (trade["state"], trade["closingTransactionIDs"]) == ("CLOSED", [rows[0]["id"]])
    told = changes(house, before)["changes"]
    assert [order["id"] for order in told["ordersFilled"]] == [rows[0]["orderID"]]
    assert [trade["id"] for trade in told["tradesClosed"]] == [fill["id"]]
    assert house.get("/pendingOrders")["orders"] == []
    identities_hold(house)


def test_a_trailing_stop_follows_and_its_place_is_told_in_the_state(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    house.bought(100, trailingStopLossOnFill={"distance": "0.00100"})
    before = house.last_id()
    house.set_price("1.10500", "1.10510")
    house.set_price("1.10450", "1.10460")
    (order,) = house.get("/pendingOrders")["orders"]
    assert order["trailingStopValue"] == "1.10400"
    answer = changes(house, before)
    assert answer["changes"]["transactions"] == []
    assert [row["trailingStopValue"] for row in answer["state"]["orders"]] == ["1.10400"]


@pytest.mark.parametrize(
    ("order", "at", "price"),
    [
        ({"type": "LIMIT", "units": "100", "price": "1.09900"}, ("1.09880", "1.09890"), "1.09890"),
        ({"type": "LIMIT", "units": "-100", "price": "1.10100"}, ("1.10100", "1.10110"), "1.10100"),
        ({"type": "STOP", "units": "100", "price": "1.10100"}, ("1.10120", "1.10130"), "1.10130"),
        ({"type": "STOP", "units": "-100", "price": "1.09900"}, ("1.09900", "1.09910"), "1.09900"),
        ({"type": "MARKET_IF_TOUCHED", "units": "100", "price": "1.10100"}, ("1.10095", "1.10105"), "1.10105"),
    ],
)
def test_a_waiting_order_fills_when_its_price_is_reached(
    house: House, order: Row, at: tuple[str, str], price: str
) -> None:
    house.set_price("1.10000", "1.10010")
    made = house.order(**order)["orderCreateTransaction"]
    before = house.last_id()
    house.set_price(*at)
    (row,) = house.since(before)
    assert (row["type"], row["orderID"], row["price"]) == ("ORDER_FILL", made["id"], price)
    told = changes(house, before)["changes"]
    assert [each["id"] for each in told["ordersFilled"]] == [made["id"]]
    assert [each["id"] for each in told["tradesOpened"]] == [row["id"]]


def test_a_halt_stops_everything_and_the_first_price_after_it_counts(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    house.bought(100, stopLossOnFill={"price": "1.09900"})
    before = house.last_id()
    house.set_price("1.09000", "1.09010", tradeable=False)
    assert house.since(before) == []
    cancel = house.order(units="100")["orderCancelTransaction"]
    assert cancel["reason"] == "MARKET_HALTED"
    price = house.get("/pricing", instruments="EUR_USD")["prices"][0]
    assert (price["tradeable"], price["status"]) == (False, "non-tradeable")
    house.set_price(None, tradeable=True)
    assert house.since(int(cancel["id"]))[0]["price"] == "1.09000"


def test_a_gtd_order_ends_at_its_time(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    now = house.get("/pricing", instruments="EUR_USD", dates="UNIX")["time"]
    until = str(Decimal(now) + 60)
    made = house.order(
        type="LIMIT", units="100", price="1.00000", timeInForce="GTD", gtdTime=until, clientExtensions={"id": "soon"}
    )["orderCreateTransaction"]
    house.skip(59)
    assert house.get("/orders/@soon")["order"]["id"] == made["id"]
    house.skip(2)
    house.ask("GET", "/orders/@soon", status=404)
    order = house.get(f"/orders/{made['id']}", dates="UNIX")["order"]
    assert (order["state"], Decimal(order["gtdTime"])) == ("CANCELLED", Decimal(until))
    (row,) = house.since(int(made["id"]))
    assert (row["reason"], row["clientOrderID"]) == ("TIME_IN_FORCE_EXPIRED", "soon")


def test_margin_closeout_closes_every_position(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    house.bought(3_500_000)
    house.order(instrument="USD_JPY", units="100000")
    before = house.last_id()
    house.set_price("1.08000", "1.08010")
    rows = house.since(before)
    assert {row["reason"] for row in rows if row["type"] == "MARKET_ORDER"} == {"MARGIN_CLOSEOUT"}
    fills = [row for row in rows if row["type"] == "ORDER_FILL"]
    assert {row["instrument"] for row in fills} == {"EUR_USD", "USD_JPY"}
    assert {row["reason"] for row in fills} == {"MARKET_ORDER_MARGIN_CLOSEOUT"}
    assert house.get("/openTrades")["trades"] == []
    account = house.summary()
    assert (account["marginUsed"], account["marginCloseoutPercent"]) == ("0.0000", "0.00000")
    identities_hold(house)
    changes(house, before)
    house.set_price("1.10000", "1.10010")
    house.bought(-900_000)
    house.set_price("1.02000", "1.02010")  # for the tests that follow: most of the money back
    house.ask("PUT", "/positions/EUR_USD/close", {"shortUnits": "ALL"})


def test_financing_is_booked_at_five_in_new_york(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    fill = house.bought(10_000)
    before = house.last_id()
    house.skip(26 * 3_600)
    rows = [row for row in house.since(before) if row["type"] == "DAILY_FINANCING"]
    assert rows
    assert rows[0]["time"][10:] == "T22:00:00.000000000Z"
    trade = house.get(f"/trades/{fill['id']}")["trade"]
    assert money(trade["financing"]) == sum(money(row["financing"]) for row in rows)
    identities_hold(house)


def test_stream_rows_are_the_rows_of_the_ledger(house: House) -> None:
    """With the client that most people use; everything here follows from a price, not from a request."""
    environments: dict[str, Any] = oandapyV20.oandapyV20.TRADING_ENVIRONMENTS
    environments["house"] = {"api": house.url, "stream": house.url}
    client = oandapyV20.API(access_token=TOKEN, environment="house", request_params={"timeout": (5, 20)})
    client.client.trust_env = False
    house.set_price("1.10000", "1.10010")
    house.bought(100, takeProfitOnFill={"price": "1.10200"}, stopLossOnFill={"price": "1.09900"})
    house.order(type="STOP", units="200", price="1.10150")
    before, lines = house.last_id(), list[Row]()
    stream = client.request(transactions.TransactionsStream(ACCOUNT))
    assert next(stream)["type"] == "HEARTBEAT"

    def read() -> None:
        for line in stream:
            lines.append(line)
            if len(lines) == 4:
                return

    reader = threading.Thread(target=read)
    reader.start()
    house.set_price("1.10210", "1.10220")
    house.set_price("1.10000", "1.10010")
    house.bought(-200)
    reader.join(10)
    assert not reader.is_alive()
    rows = [row for row in house.since(before) if row["type"] != "HEARTBEAT"]
    assert [json.dumps(line) for line in lines] == [json.dumps(row) for row in rows[:4]]
    client.client.close()


def test_small_trades_sum_up_to_the_last_digit(house: House) -> None:
    """Half a unit of the last digit is rounded once, per trade: figures of five units of a pip fraction show it."""
    house.set_price("1.10000", "1.10000")
    for units in (5, 5, 5, 15):
        house.bought(units)
    house.set_price("1.10001", "1.10001")
    identities_hold(house)
    house.set_price("1.10003", "1.10003")
    identities_hold(house)
