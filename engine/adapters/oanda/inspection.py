"""I am the inspection: what OANDA says of token, account, instruments and time, for the list of checks before a start.
I may import ports, and what lies beside me.
I must not open, send or refuse anything: what cannot be asked is said.
My tests are in tests/contract/test_preflight.py and tests/unit/adapters/oanda/test_inspection.py.
"""

from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec.structs import replace

from engine.adapters.oanda.answers import Answer
from engine.adapters.oanda.holdings import parse_account
from engine.adapters.oanda.http import OandaHttp, path_of
from engine.adapters.oanda.opening import account_key, asked, understood
from engine.adapters.oanda.parsing import parse_instruments, parse_platforms, parse_pricing
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S
from engine.ports import Inspection


def inspected(
    http: OandaHttp, account_id: str, environment: str, instruments: tuple[str, ...], wall_ns: Callable[[], int]
) -> Inspection:
    """Ask for everything that a careful person looks at, once each; what could not be asked is None."""
    begun_ns = wall_ns()
    outcome = http.get(path_of("accounts"))
    ended_ns = wall_ns()
    found = Inspection()
    if isinstance(outcome, Answer):
        found = replace(found, skew_ns=skew_ns(outcome.date, begun_ns, ended_ns), answered=True)
    try:
        platforms = understood(outcome, parse_platforms, environment)
    except ConfigError as error:
        return replace(found, refused=str(error))
    is_mt4 = platforms.get(account_id)
    if is_mt4 is None:
        return replace(found, is_listed=False)
    found = replace(found, is_listed=True, is_mt4=is_mt4)
    try:
        summary = asked(http, path_of("accounts", account_id), parse_account, environment).summary
    except ConfigError as error:
        return replace(found, unread=str(error))
    account = account_key(environment, summary.account_id, summary.created_ns)
    found = replace(found, account=account, currency=summary.account.currency, is_hedging=summary.hedging_enabled)
    try:
        path = path_of("accounts", account_id, "instruments")
        found = replace(found, offered=frozenset(asked(http, path, parse_instruments, environment)))
        return replace(found, **_of_prices(http, account_id, environment, found.offered, instruments))
    except ConfigError as error:
        return replace(found, unlisted=str(error))


def _of_prices(
    http: OandaHttp, account_id: str, environment: str, offered: Collection[str] | None, wanted: tuple[str, ...]
) -> dict[str, Any]:
    known = [name for name in wanted if offered and name in offered]
    if not known:
        return {}
    path = path_of("accounts", account_id, "pricing", instruments=",".join(known))
    pricing = asked(http, path, parse_pricing, environment)
    tradeable = {price.instrument: price.tradeable for price in pricing.prices}
    newest_ns = max((price.ts_ns for price in pricing.prices), default=0)
    return {"tradeable": tradeable, "ts_ns": pricing.ts_ns or newest_ns}


def skew_ns(date: str, begun_ns: int, ended_ns: int) -> int | None:
    """Say how far our clock must be from a server that named this second between these moments of ours.

    0 when both can be right: the server cut its time to the second, and its answer was on the way for a while. None
    when the server did not tell its time.
    """
    try:
        told_ns = int(parsedate_to_datetime(date).timestamp()) * NS_PER_S
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if begun_ns > told_ns + NS_PER_S:
        return begun_ns - told_ns - NS_PER_S
    return min(ended_ns - told_ns, 0)
