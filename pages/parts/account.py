"""I am the words about the account: whose it is, where it is held, and what becomes of open trades there.
I may import config, redaction, the domain and snapshot.
I must not show more of an account's id than its last four digits.
My tests are in tests/ui/test_account.py.
"""

from engine.config import Settings
from engine.domain.command import Mode, SessionConfig
from engine.redaction import ACCOUNT_DIGITS, last_digits
from engine.snapshot import Snapshot

LOOPBACK_SCHEME = "http://"
# Modes, as the database has them, whose account outlives the session.
OUTSIDE = frozenset(mode.value for mode in Mode if mode.sends_orders)


def tail(account_id: str) -> str:
    """Write an account's id with all but its last four digits hidden: •••• 7001."""
    digits = last_digits(account_id)
    return f"•••• {digits}" if len(account_id) > len(digits) == ACCOUNT_DIGITS else "••••"


def host(settings: Settings) -> str:
    """Name who holds the account that .env names."""
    if settings.oanda_loopback_url:
        return f"the venue at {settings.oanda_loopback_url.removeprefix(LOOPBACK_SCHEME)}"
    return f"OANDA {settings.oanda_environment}"


def line(mode: Mode, settings: Settings) -> str:
    """Say which account a session of this mode would use; for mode live without the digits that have to be typed."""
    name = "the account" if mode == Mode.LIVE else f"account {tail(settings.oanda_account_id)}"
    what = "Orders go to" if mode.sends_orders else "Prices come from"
    return f"{what} {name} at {host(settings)}, as .env says."


def held(config: SessionConfig, settings: Settings) -> str:
    """Name the account of a session; empty for a simulated one."""
    if config.mode.is_simulated:
        return ""
    return f"{tail(settings.oanda_account_id)}, {host(settings)}"


def is_outside(snapshot: Snapshot) -> bool:
    """Say whether the session trades on an account that outlives it."""
    return snapshot.config is not None and snapshot.config.mode.sends_orders


def where(snapshot: Snapshot) -> str:
    """Say for the end of a sentence whose money it is; empty for a simulated account."""
    if not is_outside(snapshot) or snapshot.config is None:
        return ""
    return " with real money" if snapshot.config.mode == Mode.LIVE else " on the practice account"


def flatten_hint(settings: Settings) -> str:
    """Say why there is nothing to flatten here; what is open at a broker can be closed without a session."""
    if not settings.oanda_token:
        return "No session is running, so there is nothing to close."
    return "No session is running here. What is open at OANDA is closed by: python -m engine flatten"


def stop_effect(snapshot: Snapshot) -> str:
    """Say what becomes of open trades when the run is ended."""
    if is_outside(snapshot):
        return "open trades stay at OANDA with their stops, and nobody watches them."
    return "its simulated account ends with it, and what is open stays open in its books."
