"""I am the tables of trades: open and closed ones, their totals, and the sum that has to come out right.
I may import wiring's catalogue, snapshot's quotes, row types of the store and formats.
I must not draw, query or keep state.
My tests are in tests/unit/pages/test_trade_tables.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd
from streamlit import column_config as column

from engine import wiring
from engine.domain.market import NS_PER_S, Quote
from engine.store.queries import RunRow, TradeRow
from pages.parts.formats import NOTHING, money, price, signed_money, units, utc
from pages.parts.tables import duration

ZERO = Decimal(0)
DECIMALS_UNKNOWN = 5
SIDES = {"long": "▲ long", "short": "▼ short"}
_TIME = "YYYY-MM-DD HH:mm:ss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over trades, in home currency; wins and losses count closed trades by their result after financing."""

    closed: int = 0
    open: int = 0
    wins: int = 0
    realized_pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO
    profit_home: Decimal = ZERO
    loss_home: Decimal = ZERO

    @property
    def net_pl_home(self) -> Decimal:
        """Realised profit and loss with financing, partly closed trades included."""
        return self.realized_pl_home + self.financing_home

    @property
    def win_rate_pct(self) -> Decimal | None:
        """Share of closed trades that won; None before the first."""
        return Decimal(100 * self.wins) / self.closed if self.closed else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Gross profit by gross loss, as MetaTrader's report defines it; None without a loss."""
        return self.profit_home / self.loss_home if self.loss_home else None

    @property
    def average_home(self) -> Decimal | None:
        """Mean result of a closed trade; None before the first."""
        return (self.profit_home - self.loss_home) / self.closed if self.closed else None


def totals(rows: Iterable[TradeRow]) -> Totals:
    """Add trades up, exactly."""
    count = {"CLOSED": 0, "OPEN": 0}
    wins = 0
    realized, financing, profit, loss = ZERO, ZERO, ZERO, ZERO
    for row in rows:
        count[row.state] += 1
        realized += row.realized_pl_home
        financing += row.financing_home
        result = row.realized_pl_home + row.financing_home
        if row.state == "CLOSED":
            wins += result > 0
            profit += max(result, ZERO)
            loss -= min(result, ZERO)
    return Totals(
        closed=count["CLOSED"],
        open=count["OPEN"],
        wins=wins,
        realized_pl_home=realized,
        financing_home=financing,
        profit_home=profit,
        loss_home=loss,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """opening + realised + financing - commission + moved in or out = closing, to the last decimal."""

    opening_home: Decimal
    realized_pl_home: Decimal
    financing_home: Decimal
    commission_home: Decimal
    closing_home: Decimal
    transferred_home: Decimal = ZERO
    closing_word: str = field(default="closing")

    @property
    def difference_home(self) -> Decimal:
        """What is missing or too much; 0 when the books agree."""
        sum_home = self.opening_home + self.realized_pl_home + self.financing_home - self.commission_home
        return self.closing_home - sum_home - self.transferred_home

    def text(self, currency: str) -> str:
        """Write the sum with every decimal it has."""
        commission = f" - commission {exact(self.commission_home)}" if self.commission_home else ""
        moved = f" + moved in or out {exact(self.transferred_home)}" if self.transferred_home else ""
        return (
            f"opening {exact(self.opening_home)} + realised {exact(self.realized_pl_home)} "
            f"+ financing {exact(self.financing_home)}{commission}{moved} "
            f"= {self.closing_word} {exact(self.closing_home)} {currency}"
        )


def exact(amount: Decimal) -> str:
    """Write an amount with at least two and all of its decimals: 100,000.00, -12.3456."""
    whole, _, decimals = f"{amount:,f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def closed(rows: Sequence[TradeRow]) -> pd.DataFrame:
    """List closed trades in the order given."""
    return pd.DataFrame([_closed(row) for row in rows], columns=list(CLOSED_COLUMNS))


def _closed(row: TradeRow) -> dict[str, object]:
    result = row.realized_pl_home + row.financing_home
    return {
        "Closed": _moment(row.exit_ns),
        "Instrument": row.instrument,
        "Side": SIDES[row.side],
        "Units": units(row.units),
        "Entry": price(row.entry_price, decimals(row.instrument)),
        "Exit": price(row.exit_price, decimals(row.instrument)),
        "Net": float(result),
        "R": float(result / row.risk_home) if row.risk_home else None,
        "Reason": row.exit_reason or "",
        "Held": _held(row.entry_ns, row.exit_ns),
        "Realised": float(row.realized_pl_home),
        "Financing": float(row.financing_home),
        "Risk": None if row.risk_home is None else float(row.risk_home),
        "Opened": _moment(row.entry_ns),
        "Trade": row.trade_id,
    }


def opened(rows: Sequence[TradeRow], now_ns: int | None, quotes: Mapping[str, Quote]) -> pd.DataFrame:
    """List open trades; `quotes` (none for a run that is over) give how far the price is from stop to target."""
    return pd.DataFrame([_opened(row, now_ns, quotes.get(row.instrument)) for row in rows], columns=list(OPEN_COLUMNS))


def _opened(row: TradeRow, now_ns: int | None, quote: Quote | None) -> dict[str, object]:
    places = decimals(row.instrument)
    now = None if quote is None else quote.bid if row.side == "long" else quote.ask
    return {
        "Opened": _moment(row.entry_ns),
        "Instrument": row.instrument,
        "Side": SIDES[row.side],
        "Units": units(row.units_open),
        "Entry": price(row.entry_price, places),
        "Stop": price(row.stop_loss, places),
        "Target": price(row.take_profit, places),
        "Now": price(now, places),
        "Way": way(row, now),
        "Risk": None if row.risk_home is None else float(row.risk_home),
        "Held": _held(row.entry_ns, now_ns),
        "Realised": float(row.realized_pl_home),
        "Financing": float(row.financing_home),
        "Trade": row.trade_id,
    }


def way(row: TradeRow, now: Decimal | None) -> int | None:
    """Say where the price is between stop (0) and target (100); None when one of the three is not known."""
    if now is None or row.stop_loss is None or row.take_profit is None or row.take_profit == row.stop_loss:
        return None
    share = 100 * (now - row.stop_loss) / (row.take_profit - row.stop_loss)
    return int(min(max(share, ZERO), Decimal(100)))


def decimals(instrument: str) -> int:
    """Number of decimals of an instrument's prices."""
    known = wiring.catalogue().get(instrument)
    return known.price_decimals if known else DECIMALS_UNKNOWN


def books(runs: Sequence[RunRow], run_id: int) -> tuple[int, ...]:
    """Runs whose books this run goes on with, itself first, as far back as `runs` go."""
    before = {run.run_id: run.continues for run in runs}
    found: list[int] = []
    each: int | None = run_id
    while each is not None and each not in found:
        found.append(each)
        each = before.get(each)
    return tuple(found)


def run_label(run: RunRow, *, live: bool) -> str:
    """Name a run by number, mode, model, start, net result once it is known, and how it stands."""
    if run.started_ns is None or run.opening_balance_home is None:
        return f"Run {run.run_id}, never started"
    parts = [f"Run {run.run_id}", f"{run.mode}", f"{run.model_id}", utc(run.started_ns)]
    if run.closing_balance_home is not None:
        parts.append(f"{signed_money(run.closing_balance_home - run.opening_balance_home)} {run.currency}")
    parts.append("running" if live else STATUS.get(run.status, run.status.lower()))
    return " · ".join(parts)


STATUS = {"RUNNING": "interrupted", "ABORTED": "interrupted", "FAULTED": "faulted", "STOPPED": "stopped"}


def figures(sums: Totals, opening_home: Decimal | None) -> list[tuple[str, str, str]]:
    """Name the figures above the tables: label, value and what stands below it."""
    share = f"{signed_money(100 * sums.net_pl_home / opening_home)} % of opening" if opening_home else NOTHING
    rate, factor, average = sums.win_rate_pct, sums.profit_factor, sums.average_home
    return [
        ("Net P/L", signed_money(sums.net_pl_home), share),
        ("Closed trades", f"{sums.closed:,}", f"{sums.open:,} open"),
        ("Win rate", NOTHING if rate is None else f"{rate:.1f} %", f"{sums.wins:,} of {sums.closed:,}"),
        ("Profit factor", NOTHING if factor is None else f"{factor:.2f}", _gross(sums)),
        ("Average trade", NOTHING if average is None else signed_money(average), "after financing"),
        ("Financing", signed_money(sums.financing_home), "overnight"),
    ]


def _gross(sums: Totals) -> str:
    return f"+{money(sums.profit_home)} by -{money(sums.loss_home)}"


def _held(entry_ns: int, until_ns: int | None) -> str:
    return NOTHING if until_ns is None else duration((until_ns - entry_ns) / NS_PER_S)


def _moment(ts_ns: int | None) -> pd.Timestamp | None:
    return None if ts_ns is None else pd.Timestamp(ts_ns, unit="ns", tz="UTC")


def _money(label: str, help_text: str) -> Any:
    return column.NumberColumn(label, help=help_text, format="%+,.2f")


def _text(label: str | None = None, help_text: str | None = None) -> Any:
    return column.TextColumn(label, help=help_text, alignment="right")


_BOTH: dict[str, Any] = {
    "Opened": column.DatetimeColumn("Opened (UTC)", format=_TIME, timezone="UTC"),
    "Instrument": column.TextColumn(),
    "Side": column.TextColumn(),
    "Units": _text(),
    "Entry": _text(),
    "Risk": column.NumberColumn("At risk", help="Lost if the stop is hit at its price", format="%,.2f"),
    "Held": _text(help_text="Market time in the trade"),
    "Realised": _money("Realised", "Profit or loss of what was closed, before financing"),
    "Financing": _money("Financing", "Paid (-) or earned (+) at 17:00 New York"),
    "Trade": column.TextColumn(help="Number of the trade at the broker"),
}
_CLOSED_ONLY: dict[str, Any] = {
    "Closed": column.DatetimeColumn("Closed (UTC)", format=_TIME, timezone="UTC", pinned=True),
    "Exit": _text(help_text="Average price when it was closed in parts; the CSV has every decimal"),
    "Net": _money("Net P/L", "Realised profit or loss and financing"),
    "R": column.NumberColumn("R", help="Net P/L by the money that was at risk", format="%+.2f"),
    "Reason": column.TextColumn("Exit reason"),
}
_OPEN_ONLY: dict[str, Any] = {
    "Stop": _text(),
    "Target": _text(),
    "Now": _text(help_text="Bid for a long trade, ask for a short one"),
    "Way": column.ProgressColumn(
        "Stop to target", help="Where the price stands between stop and target", format="%d %%", max_value=100
    ),
}
_CLOSED_ORDER = (
    "Closed", "Instrument", "Side", "Units", "Entry", "Exit", "Net", "R", "Reason", "Held", "Realised", "Financing",
    "Risk", "Opened", "Trade",
)  # fmt: skip
_OPEN_ORDER = (
    "Opened", "Instrument", "Side", "Units", "Entry", "Stop", "Target", "Now", "Way", "Risk", "Held", "Realised",
    "Financing", "Trade",
)  # fmt: skip
CLOSED_COLUMNS: dict[str, Any] = {name: (_BOTH | _CLOSED_ONLY)[name] for name in _CLOSED_ORDER}
OPEN_COLUMNS: dict[str, Any] = {name: (_BOTH | _OPEN_ONLY)[name] for name in _OPEN_ORDER}
