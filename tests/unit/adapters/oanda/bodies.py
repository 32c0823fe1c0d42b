"""Bodies as OANDA would send them, made of the fields that Keel reads, for tests that bend them."""

import json
from collections.abc import Iterator
from typing import Any

Json = Any
Path = tuple[str | int, ...]

TIME = "2026-03-09T13:22:13.832587780Z"
TIME_NS = 1_773_062_533_832_587_780

SUMMARY: Json = {
    "account": {
        "id": "101-004-1435156-001",
        "createdTime": "2016-06-24T21:03:50.914647476Z",
        "currency": "EUR",
        "balance": "100000.1230",
        "NAV": "100010.5000",
        "marginUsed": "211.6300",
        "hedgingEnabled": False,
        "lastTransactionID": "2123",
        "marginRate": "0.05",
        "resettablePLTime": "0",
    },
    "lastTransactionID": "2123",
}

INSTRUMENTS: Json = {
    "instruments": [
        {
            "name": "EUR_USD",
            "pipLocation": -4,
            "displayPrecision": 5,
            "tradeUnitsPrecision": 0,
            "minimumTradeSize": "1",
            "maximumOrderUnits": "100000000",
            "marginRate": "0.02",
        },
        {
            "name": "XAU_USD",
            "pipLocation": -2,
            "displayPrecision": 3,
            "tradeUnitsPrecision": 2,
            "minimumTradeSize": "0.01",
            "maximumOrderUnits": "10000",
            "marginRate": "0.05",
        },
    ]
}

PRICE: Json = {
    "type": "PRICE",
    "instrument": "EUR_JPY",
    "time": TIME,
    "tradeable": True,
    "status": "tradeable",
    "bids": [{"price": "120.969", "liquidity": 1000000}, {"price": "120.968", "liquidity": 2000000.0}],
    "asks": [{"price": "120.991", "liquidity": "1000000"}],
    "quoteHomeConversionFactors": {"positiveUnits": "0.00826", "negativeUnits": "0.00828"},
}

PRICING: Json = {
    "time": TIME,
    "prices": [{name: value for name, value in PRICE.items() if name != "type"}],
    "homeConversions": [{"currency": "JPY", "accountLoss": "0.0083527", "positionValue": "0.0082700"}],
}

_SIDE = {"o": "1.04684", "h": "1.04711", "l": "1.04567", "c": "1.04575"}
_ASK = {"o": "1.04694", "h": "1.04721", "l": "1.04577", "c": "1.04585"}
CANDLES: Json = {
    "instrument": "EUR_USD",
    "granularity": "H1",
    "candles": [
        {
            "time": "2026-03-09T12:00:00.000000000Z",
            "volume": 974,
            "complete": True,
            "mid": _SIDE,
            "bid": _SIDE,
            "ask": _ASK,
        },
        {
            "time": "2026-03-09T13:00:00.000000000Z",
            "volume": 3,
            "complete": False,
            "mid": _SIDE,
            "bid": _SIDE,
            "ask": _ASK,
        },
    ],
}

FILL: Json = {
    "id": "7001",
    "time": TIME,
    "type": "ORDER_FILL",
    "orderID": "7000",
    "clientOrderID": "12-EUR_USD-1-1",
    "instrument": "EUR_USD",
    "units": "-1500",
    "price": "9.99999",
    "reason": "MARKET_ORDER",
    "pl": "-1.5000",
    "financing": "-0.0300",
    "commission": "0.5000",
    "guaranteedExecutionFee": "0.2500",
    "halfSpreadCost": "0.0750",
    "accountBalance": "9998.2200",
    "tradesClosed": [
        {
            "tradeID": "6001",
            "units": "-500",
            "realizedPL": "-1.0000",
            "financing": "-0.0200",
            "price": "1.10000",
        }
    ],
    "tradeReduced": {
        "tradeID": "6002",
        "units": "-250",
        "realizedPL": "-0.5000",
        "financing": "-0.0100",
        "price": "1.10010",
    },
    "tradeOpened": {"tradeID": "7001", "units": "-750", "price": "1.10020"},
}

CREATE: Json = {
    "id": "7000",
    "time": TIME,
    "type": "MARKET_ORDER",
    "instrument": "EUR_USD",
    "units": "-1500",
    "clientExtensions": {"id": "12-EUR_USD-1-1"},
}

CANCEL: Json = {
    "id": "7001",
    "time": TIME,
    "type": "ORDER_CANCEL",
    "orderID": "7000",
    "clientOrderID": "12-EUR_USD-1-1",
    "reason": "INSUFFICIENT_MARGIN",
}

STOP_LOSS: Json = {
    "id": "7002",
    "time": TIME,
    "type": "STOP_LOSS_ORDER",
    "tradeID": "7001",
    "price": "1.12000",
    "clientExtensions": {"id": "stop"},
}

REJECT: Json = {
    "id": "7000",
    "time": TIME,
    "type": "MARKET_ORDER_REJECT",
    "rejectReason": "UNITS_INVALID",
    "clientExtensions": {"id": "12-EUR_USD-1-1"},
}

FINANCING: Json = {
    "id": "7003",
    "time": TIME,
    "type": "DAILY_FINANCING",
    "financing": "-0.0300",
    "accountBalance": "9998.1900",
    "positionFinancings": [
        {
            "instrument": "EUR_USD",
            "openTradeFinancings": [
                {"tradeID": "7001", "financing": "-0.0200"},
                {"tradeID": "6002", "financing": "-0.0100"},
            ],
        }
    ],
}

TRANSFER: Json = {
    "id": "7004",
    "time": TIME,
    "type": "TRANSFER_FUNDS",
    "amount": "-100.0000",
    "accountBalance": "9898.1900",
}

TRADES: Json = {
    "trades": [
        {
            "id": "7001",
            "instrument": "EUR_USD",
            "price": "1.10020",
            "openTime": TIME,
            "state": "OPEN",
            "initialUnits": "-750",
            "currentUnits": "-700",
            "realizedPL": "0.5000",
            "financing": "-0.0200",
            "clientExtensions": {"id": "12-EUR_USD-1-1"},
            "takeProfitOrder": {"id": "7003", "price": "1.09000"},
            "stopLossOrder": {"id": "7002", "price": "1.12000"},
        }
    ],
    "lastTransactionID": "7010",
}

POSITIONS: Json = {
    "positions": [
        {
            "instrument": "EUR_USD",
            "long": {"units": "0"},
            "short": {
                "units": "-700",
                "averagePrice": "1.10020",
                "tradeIDs": ["7001"],
                "unrealizedPL": "3.5000",
            },
        }
    ],
    "lastTransactionID": "7010",
}

ORDERS: Json = {
    "orders": [
        {
            "id": "7002",
            "type": "TRAILING_STOP_LOSS",
            "state": "PENDING",
            "tradeID": "7001",
        },
        {
            "id": "6900",
            "type": "LIMIT",
            "state": "PENDING",
            "instrument": "EUR_USD",
            "units": "100",
            "price": "1.05000",
            "clientExtensions": {"id": "mine"},
        },
    ],
    "lastTransactionID": "7010",
}

ACCOUNT: Json = {
    "account": {
        **SUMMARY["account"],
        "trades": [
            {name: value for name, value in TRADES["trades"][0].items() if not name.endswith("Order")},
        ],
        "orders": [
            {"id": "7003", "type": "TAKE_PROFIT", "state": "PENDING", "tradeID": "7001", "price": "1.09000"},
            {"id": "7002", "type": "STOP_LOSS", "state": "PENDING", "tradeID": "7001", "price": "1.12000"},
            *ORDERS["orders"][1:],
        ],
    },
    "lastTransactionID": "2123",
}


def page(*transactions: Json) -> bytes:
    return encoded({"transactions": list(transactions), "lastTransactionID": "9999"})


def encoded(body: Json) -> bytes:
    return json.dumps(body).encode()


def paths_of(body: Json, at: Path = ()) -> Iterator[Path]:
    """Yield where each value is, but for the whole."""
    inside = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inside:
        yield (*at, key)
        yield from paths_of(value, (*at, key))


def changed(body: Json, path: Path, value: Json) -> Json:
    """Copy a body with another value at one place."""
    copy = json.loads(json.dumps(body))
    _parent(copy, path)[path[-1]] = value
    return copy


def without(body: Json, path: Path) -> Json:
    """Copy a body without what is at one place."""
    copy = json.loads(json.dumps(body))
    del _parent(copy, path)[path[-1]]
    return copy


def _parent(body: Json, path: Path) -> Json:
    for key in path[:-1]:
        body = body[key]
    return body
