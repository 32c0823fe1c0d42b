"""I am the opening of an OANDA account: everything is checked before anything can be sent.
I may import the domain, and what lies beside me.
I must not try another host or account than the one that was named, nor show the token.
My tests are in tests/unit/adapters/oanda/test_opening.py.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from engine.adapters.oanda.answers import Verdict, judge
from engine.adapters.oanda.holdings import AccountDetails, parse_account
from engine.adapters.oanda.http import OandaHttp, Outcome, path_of
from engine.adapters.oanda.parsing import (
    AccountSummary,
    parse_accounts,
    parse_instruments,
    parse_pricing,
)
from engine.adapters.oanda.reading import ParseFault
from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument
from engine.ports import NotSent, Opening, Unresolved
from engine.redaction import account_tail

_T = TypeVar("_T")
CHECK_LINE = "check the internet connection, OANDA's status page, and OANDA_LOOPBACK_URL if it is set"


class OpenedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that can be traded: its figures, what it holds, and what it offers."""

    summary: AccountSummary
    opening: Opening
    instruments: Mapping[str, Instrument]


def account_key(environment: str, account_id: str, created_ns: int) -> str:
    """Name an account by 16 hex digits that tell nobody its id; one that was made anew has others."""
    return hashlib.sha256(f"{environment} {account_id} {created_ns}".encode()).hexdigest()[:16]


def open_account(http: OandaHttp, account_id: str, environment: str, *, sends_orders: bool = True) -> OpenedAccount:
    """Check token and account and, where orders will be sent, the account's type. What is open is welcome.

    Raises ConfigError with one sentence.
    """
    listed = asked(http, path_of("accounts"), parse_accounts, environment)
    if account_id not in listed:
        raise ConfigError(
            f"Account {account_tail(account_id)} does not belong to this token in environment {environment}; "
            "check OANDA_ACCOUNT_ID."
        )
    details = asked(http, path_of("accounts", account_id), parse_account, environment)
    if sends_orders and details.summary.hedging_enabled:
        raise ConfigError(
            f"Account {account_tail(account_id)} is a hedging account; Keel trades netting accounts only, "
            "choose another one in OANDA_ACCOUNT_ID."
        )
    instruments = asked(http, path_of("accounts", account_id, "instruments"), parse_instruments, environment)
    return OpenedAccount(summary=details.summary, opening=_opening(details, environment), instruments=instruments)


def venue_time_ns(http: OandaHttp, account_id: str, instrument: str) -> int:
    """Ask for the venue's own time; raises ConfigError."""
    path = path_of("accounts", account_id, "pricing", instruments=instrument)
    pricing = asked(http, path, parse_pricing, "loopback")
    if pricing.ts_ns is None:
        raise ConfigError("The venue does not tell its time.")
    return pricing.ts_ns


def _opening(details: AccountDetails, environment: str) -> Opening:
    summary, holdings = details.summary, details.holdings
    return Opening(
        balance_home=holdings.balance_home,
        last_transaction_id=holdings.last_transaction_id,
        trades=holdings.trades,
        orders=holdings.orders,
        account=account_key(environment, summary.account_id, summary.created_ns),
    )


def asked(http: OandaHttp, path: str, parse: Callable[[bytes], _T | ParseFault], environment: str) -> _T:
    """Ask once and read the answer; raises ConfigError with one sentence."""
    return understood(http.get(path), parse, environment)


def understood(outcome: Outcome, parse: Callable[[bytes], _T | ParseFault], environment: str) -> _T:
    """Read an answer; raises ConfigError with one sentence."""
    if isinstance(outcome, NotSent | Unresolved):
        raise ConfigError(f"OANDA ({environment}) cannot be reached: {outcome.reason}; {CHECK_LINE}.")
    judgement = judge(outcome)
    if judgement.verdict is Verdict.KEY_REFUSED:
        raise ConfigError(
            f"OANDA refused the token or the account in environment {environment} (HTTP {outcome.status}); "
            "check OANDA_TOKEN, OANDA_ACCOUNT_ID and OANDA_ENVIRONMENT: a token belongs to one environment."
        )
    if judgement.verdict is not Verdict.OK:
        raise ConfigError(f"OANDA ({environment}) cannot be used now: {judgement.reason.rstrip('.')}; {CHECK_LINE}.")
    parsed = parse(outcome.body)
    if isinstance(parsed, ParseFault):
        raise ConfigError(f"OANDA ({environment}) answered what cannot be read: {parsed.reason}; {CHECK_LINE}.")
    return parsed
