"""Lists and pages of orders, trades, positions and transactions; the names that clients give; dates in UNIX form."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.unit.venue.house import ACCOUNT, House, Row

ODD = ["a/b", "100%", "a b+c", "ключ-☃", "q?x=1&y#z", "..", "@@", '"\\', "12", "x" * 128]


def ids(rows: list[Row]) -> list[int]:
    return [int(row["id"]) for row in rows]


def waiting(house: House, **order: Any) -> Row:
    made: Row = house.order(type="LIMIT", units="10", price="0.50000", **order)["orderCreateTransaction"]
    return made


def test_orders_are_listed_by_state_instrument_number_and_count(house: House) -> None:
    made = [int(waiting(house)["id"]) for _ in range(5)]
    house.order(type="LIMIT", units="10", price="50.000", instrument="USD_JPY")
    house.ask("PUT", f"/orders/{made[0]}/cancel")
    newest_first = made[:0:-1]
    assert ids(house.get("/orders", instrument="EUR_USD")["orders"]) == newest_first
    assert ids(house.get("/orders", instrument="EUR_USD", count=2)["orders"]) == newest_first[:2]
    assert ids(house.get("/orders", instrument="EUR_USD", beforeID=made[3])["orders"]) == newest_first[1:]
    assert ids(house.get("/orders", ids=f"{made[1]},{made[4]},999999")["orders"]) == [made[4], made[1]]
    assert made[0] in ids(house.get("/orders", state="CANCELLED")["orders"])
    assert made[0] not in ids(house.get("/orders", state="PENDING")["orders"])
    assert set(made) <= set(ids(house.get("/orders", state="ALL", count=500)["orders"]))
    assert ids(house.get("/pendingOrders")["orders"])[1:] == newest_first


def test_links_lead_through_all_pages(house: House) -> None:
    made = [int(waiting(house)["id"]) for _ in range(7)]
    url: str | None = f"{house.url}/v3/accounts/{ACCOUNT}/orders?count=3&state=PENDING"
    seen = list[int]()
    while url:
        answer = house.session.get(url, timeout=10)
        seen += ids(answer.json()["orders"])
        url = answer.links.get("next", {}).get("url")
    assert seen == made[::-1]


def test_trades_are_listed_like_orders(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    made = [int(house.bought(10)["id"]) for _ in range(4)]
    house.ask("PUT", f"/trades/{made[1]}/close", {"units": "ALL"})
    assert ids(house.get("/trades")["trades"]) == [made[3], made[2], made[0]]
    assert ids(house.get("/trades", count=1, beforeID=made[2])["trades"]) == [made[2]]
    assert made[1] in ids(house.get("/trades", state="CLOSED")["trades"])
    assert ids(house.get("/trades", state="ALL", ids=f"{made[1]}")["trades"]) == [made[1]]
    assert house.get("/trades", instrument="USD_JPY")["trades"] == []
    assert house.get("/trades", state="CLOSE_WHEN_TRADEABLE")["trades"] == []


@pytest.mark.parametrize("path", ["/orders", "/trades"])
@pytest.mark.parametrize(
    "query",
    [
        {"count": 501},
        {"count": 0},
        {"count": "x"},
        {"count": "9" * 5_000},
        {"beforeID": "x"},
        {"state": "OPENED"},
        {"instrument": "EUR_UDS"},
        {"beforeID": "-1"},
        {"beforeID": "٣"},
    ],
    ids=lambda query: str(query)[:30],
)
def test_bad_lists_are_refused(house: House, path: str, query: Row) -> None:
    house.ask("GET", path, status=400, **query)


def test_positions_of_several_instruments_stay_listed_when_flat(house: House) -> None:
    for name, units in (("EUR_USD", "100"), ("USD_JPY", "-200"), ("EUR_GBP", "300")):
        house.order(instrument=name, units=units)
    opened = {row["instrument"]: row for row in house.get("/openPositions")["positions"]}
    assert set(opened) == {"EUR_USD", "USD_JPY", "EUR_GBP"}
    assert (opened["USD_JPY"]["short"]["units"], opened["USD_JPY"]["long"]["units"]) == ("-200", "0")
    assert "averagePrice" not in opened["USD_JPY"]["long"]
    house.ask("PUT", "/positions/USD_JPY/close", {"shortUnits": "150"})
    house.ask("PUT", "/positions/USD_JPY/close", {"longUnits": "NONE", "shortUnits": "ALL"})
    assert {row["instrument"] for row in house.get("/openPositions")["positions"]} == {"EUR_USD", "EUR_GBP"}
    assert {"EUR_USD", "USD_JPY", "EUR_GBP"} <= {row["instrument"] for row in house.get("/positions")["positions"]}
    assert house.get("/positions/USD_JPY")["position"]["short"]["units"] == "0"
    house.ask("GET", "/positions/NZD_CHF", status=404)
    house.ask("GET", "/positions/NZD_CFH", status=400)


def test_a_position_closes_on_both_sides_or_not_at_all(house: House) -> None:
    house.bought(100)
    before = house.last_id()
    body = house.ask("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "ALL"}, status=404)
    assert body["shortOrderRejectTransaction"]["rejectReason"] == "CLOSEOUT_POSITION_DOESNT_EXIST"
    assert house.get("/openPositions")["positions"][0]["long"]["units"] == "100"
    assert [row["type"] for row in house.since(before)] == ["MARKET_ORDER_REJECT"]
    house.ask("PUT", "/positions/EUR_USD/close", {"longUnits": "101"}, status=400)
    house.ask("PUT", "/positions/EUR_USD/close", {"longUnits": "NONE"}, status=400)
    assert house.get("/openPositions")["positions"][0]["long"]["units"] == "100"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_find_their_order_and_trade(house: House, name: str) -> None:
    specifier = "@" + quote(name, safe="").replace(".", "%2E")
    made = waiting(house, clientExtensions={"id": name, "tag": name, "comment": name})
    assert house.get(f"/orders/{specifier}")["order"]["id"] == made["id"]
    changed = house.ask(
        "PUT", f"/orders/{specifier}/clientExtensions", {"clientExtensions": {"comment": "new"}}, status=200
    )
    assert changed["orderClientExtensionsModifyTransaction"]["clientOrderID"] == name
    replaced = {"type": "LIMIT", "instrument": "EUR_USD", "units": "20", "price": "0.60000"}
    house.ask("PUT", f"/orders/{specifier}", {"order": replaced}, status=201)
    order = house.get(f"/orders/{specifier}")["order"]
    assert order["clientExtensions"] == {"id": name, "tag": name, "comment": "new"}
    assert house.ask("PUT", f"/orders/{specifier}/cancel")["orderCancelTransaction"]["clientOrderID"] == name
    fill = house.bought(10, tradeClientExtensions={"id": name})
    assert house.get(f"/trades/{specifier}")["trade"]["id"] == fill["id"]
    house.order(type="TAKE_PROFIT", clientTradeID=name, price="9.00000")
    house.ask("PUT", f"/trades/{specifier}/close", {"units": "10"}, status=200)


def test_a_name_that_is_used_again_means_the_open_trade(house: House) -> None:
    first = house.bought(10, tradeClientExtensions={"id": "again"})
    house.ask("PUT", f"/trades/{first['id']}/close")
    second = house.bought(10, tradeClientExtensions={"id": "again"})
    made = house.order(type="STOP_LOSS", clientTradeID="again", price="0.10000")["orderCreateTransaction"]
    assert made["tradeID"] == second["id"] == house.get("/trades/@again")["trade"]["id"]


def test_a_trade_that_is_not_there_keeps_the_name_that_it_was_called(house: House) -> None:
    body = house.order(type="STOP_LOSS", clientTradeID="no/such", price="1.00000", status=404)
    assert body["orderRejectTransaction"]["clientTradeID"] == "no/such"
    body = house.ask("PUT", "/trades/@no%2Fsuch/close", {"units": "5"}, status=404)
    assert body["orderRejectTransaction"]["tradeClose"] == {"clientTradeID": "no/such", "units": "5"}


def test_names_are_checked_when_they_are_changed_as_well(house: House) -> None:
    one, two = waiting(house, clientExtensions={"id": "one"}), waiting(house, clientExtensions={"id": "two"})
    before = house.last_id()
    for name in ("two", "", "x" * 129):
        body = {"clientExtensions": {"id": name}}
        answer = house.ask("PUT", f"/orders/{one['id']}/clientExtensions", body, status=400)
        assert answer["errorCode"].startswith("CLIENT_ORDER_ID_")
    assert house.last_id() == before
    house.ask("PUT", f"/orders/{one['id']}/clientExtensions", {"clientExtensions": {"id": "one"}}, status=200)
    trades = [house.bought(10, tradeClientExtensions={"id": name}) for name in ("first", "second")]
    path = f"/trades/{trades[0]['id']}/clientExtensions"
    house.ask("PUT", path, {"clientExtensions": {"id": "second"}}, status=400)
    house.ask("PUT", path, {"clientExtensions": {"id": "third"}}, status=200)
    assert house.get("/trades/@third")["trade"]["id"] == trades[0]["id"]
    assert house.get("/orders/@two")["order"]["id"] == two["id"]


def test_more_than_a_thousand_transactions_come_in_parts_and_pages(house: House) -> None:
    start = house.last_id()
    for _ in range(520):
        made = waiting(house)
        house.ask("PUT", f"/orders/{made['id']}/cancel")
    first = house.since(start)
    assert ids(first) == list(range(start + 1, start + 1_001))
    assert ids(house.since(start + 1_000)) == list(range(start + 1_001, start + 1_041))
    listed = house.get("/transactions", pageSize=1_000, type="LIMIT_ORDER,ORDER_CANCEL")
    found = list[Row]()
    for page in listed["pages"]:
        assert page.startswith(f"{house.url}/v3/accounts/{ACCOUNT}/transactions/idrange?")
        found += house.get("/transactions/idrange", **dict_of(page))["transactions"]
    assert len(found) == listed["count"] == len({row["id"] for row in found})
    assert {row["type"] for row in found} == {"LIMIT_ORDER", "ORDER_CANCEL"}
    house.ask("GET", "/changes", sinceTransactionID=start, status=416)
    assert len(house.get("/changes", sinceTransactionID=start + 50)["changes"]["transactions"]) == 990


def dict_of(page: str) -> dict[str, str]:
    return {name if name != "from" else "from_": value for name, value in parse_qsl(urlsplit(page).query)}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/transactions/sinceid", {"id": 10**9}, 416),
        ("/transactions/sinceid", {}, 400),
        ("/transactions/sinceid", {"id": "9" * 5_000}, 400),
        ("/transactions/idrange", {"from_": 1}, 400),
        ("/transactions/idrange", {"from_": 2, "to": 1}, 416),
        ("/transactions/idrange", {"from_": 1, "to": 10**9}, 416),
        ("/transactions", {"pageSize": 1_001}, 400),
        ("/transactions", {"from_": "x"}, 400),
        ("/transactions", {"type": "SURPRISE"}, 400),
        ("/transactions/0", {}, 404),
        ("/transactions/abc", {}, 400),
        ("/transactions/" + "9" * 5_000, {}, 400),
        ("/changes", {}, 400),
        ("/changes", {"sinceTransactionID": 10**9}, 416),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_ranges_are_refused(house: House, path: str, query: Row, status: int) -> None:
    house.ask("GET", path, status=status, **query)


def test_filters_take_the_words_of_the_specification(house: House) -> None:
    house.ask("PATCH", "/configuration", {"alias": "mine"}, status=200)
    house.bought(10)
    to = house.last_id()

    def types(word: str) -> set[str]:
        rows = house.get("/transactions/idrange", from_=1, to=to, type=word)["transactions"]
        return {row["type"] for row in rows}

    assert types("FUNDING") == {"TRANSFER_FUNDS"}
    assert types("ADMIN") == {"CLIENT_CONFIGURE"}
    assert {"MARKET_ORDER", "ORDER_FILL"} <= types("ORDER")
    assert types("ORDER_FILL,CLIENT_CONFIGURE") == {"ORDER_FILL", "CLIENT_CONFIGURE"}


def test_every_date_comes_in_unix_form_when_that_is_asked_for(house: House) -> None:
    house.bought(100, takeProfitOnFill={"price": "9.00000"}, stopLossOnFill={"price": "0.10000"})
    waiting(house, timeInForce="GTD", gtdTime="2030-01-01T00:00:00Z")
    last = house.last_id()
    for path, query in (
        ("", {}),
        ("/summary", {}),
        ("/trades", {"state": "ALL"}),
        ("/orders", {"state": "ALL"}),
        ("/pendingOrders", {}),
        ("/changes", {"sinceTransactionID": last - 4}),
        ("/transactions/sinceid", {"id": last - 900 if last > 900 else 0}),
        ("/transactions", {}),
        ("/pricing", {"instruments": "EUR_USD"}),
        ("/openTrades", {}),
        ("/positions", {}),
    ):
        written = str(house.get(path, dates="UNIX", **query))
        assert not re.search(r"\d{4}-\d\d-\d\dT", written), path


def test_accounts_and_instruments_are_listed(house: House) -> None:
    assert house.get("/v3/accounts")["accounts"] == [{"id": ACCOUNT, "tags": []}]
    names = [row["name"] for row in house.get("/instruments", instruments="USD_JPY,EUR_USD")["instruments"]]
    assert names == ["USD_JPY", "EUR_USD"]
    house.ask("GET", "/instruments", instruments="EUR_USD,EUR_UDS", status=400)
    account = house.get("")["account"]
    assert {"trades", "positions", "orders"} <= set(account)
