"""The venue's own books, asked over HTTP past every proxy, and added up by code that is not the engine's."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
Row = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class TradeSum:
    """One trade as the log tells it; units are signed and those that are left."""

    instrument: str
    price: Decimal
    opened_units: Decimal
    units: Decimal
    pl: Decimal = ZERO
    financing: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBooks:
    """An account as of one transaction: its details, its open trades with their orders, and the whole log."""

    account: Row
    open_trades: tuple[Row, ...]
    log: tuple[Row, ...]

    @property
    def last_id(self) -> int:
        """Number of the newest transaction."""
        return int(self.account["lastTransactionID"])

    @property
    def balance(self) -> Decimal:
        """What the venue says the balance is."""
        return Decimal(self.account["balance"])

    @property
    def fills(self) -> tuple[Row, ...]:
        """Every fill there ever was, of orders, stops and targets."""
        return tuple(row for row in self.log if row["type"] == "ORDER_FILL")

    def moved(self) -> Decimal:
        """Add up what every transaction moved."""
        plus, minus = ("amount", "pl", "financing"), ("commission", "guaranteedExecutionFee")
        return sum(
            (
                sum((Decimal(row.get(name, 0)) for name in plus), ZERO)
                - sum((Decimal(row.get(name, 0)) for name in minus), ZERO)
                for row in self.log
            ),
            ZERO,
        )

    def orders(self) -> dict[str, list[Row]]:
        """Market orders and their rejections, by client id; those without one under ""."""
        found: dict[str, list[Row]] = {}
        for row in self.log:
            if row["type"] in ("MARKET_ORDER", "MARKET_ORDER_REJECT"):
                found.setdefault(row.get("clientExtensions", {}).get("id", ""), []).append(row)
        return found

    def ends(self) -> dict[str, str]:
        """How each market order ended, by client id: FILLED, CANCELED or REJECTED."""
        ended = {row["clientOrderID"]: "FILLED" for row in self.fills if row.get("clientOrderID")}
        ids = {row["id"]: key for key, rows in self.orders().items() for row in rows}
        for row in self.log:
            if row["type"] == "ORDER_CANCEL" and row["orderID"] in ids:
                ended[ids[row["orderID"]]] = "CANCELED"
            elif row["type"] == "MARKET_ORDER_REJECT":
                ended[ids[row["id"]]] = "REJECTED"
        return ended

    def trades(self) -> dict[str, TradeSum]:
        """Every trade there ever was, by its id."""
        found: dict[str, TradeSum] = {}
        for fill in self.fills:
            parts = [*fill.get("tradesClosed", ()), *([fill["tradeReduced"]] if "tradeReduced" in fill else [])]
            for part in parts:
                trade = found[part["tradeID"]]
                trade.units += Decimal(part["units"])
                trade.pl += Decimal(part["realizedPL"])
                trade.financing += Decimal(part["financing"])
            if "tradeOpened" in fill:
                made = fill["tradeOpened"]
                units = Decimal(made["units"])
                found[made["tradeID"]] = TradeSum(
                    instrument=fill["instrument"], price=Decimal(made["price"]), opened_units=units, units=units
                )
        return found


class VenueDesk:
    """Asks the venue."""

    def __init__(self, url: str, control_url: str, token: str, account: str) -> None:
        self._url = f"{url}/v3/accounts/{account}"
        self._control_url = control_url
        self._headers = {"Authorization": f"Bearer {token}"}

    def books(self) -> VenueBooks:
        """Read everything; asks again while the account changes meanwhile."""
        while True:
            account = self._get("")["account"]
            log: list[Row] = []
            while not log or int(log[-1]["id"]) < int(account["lastTransactionID"]):
                log += self._get(f"/transactions/sinceid?id={len(log)}")["transactions"]
            trades = self._get("/openTrades")
            if trades["lastTransactionID"] == account["lastTransactionID"] == log[-1]["id"]:
                return VenueBooks(account=account, open_trades=tuple(trades["trades"]), log=tuple(log))

    def last_id(self) -> int:
        """Number of the newest transaction."""
        return int(self._get("/summary")["account"]["lastTransactionID"])

    def naked(self) -> list[str]:
        """Open trades that have no stop at the venue."""
        return [row["id"] for row in self._get("/openTrades")["trades"] if "stopLossOrder" not in row]

    def freeze(self, instruments: tuple[str, ...]) -> None:
        """Let the prices of these stand still: no bar, stop or target is due any more."""
        for name in instruments:
            body = json.dumps({"instrument": name}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{self._control_url}/price", body), timeout=10).read()

    def _get(self, path: str) -> Any:
        asked = urllib.request.Request(self._url + path, headers=self._headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.loads(answer.read())
