"""I am the interlocks of OANDA's accounts: what must hold before an order may leave, each alone a reason to refuse.
I may import config, redaction and the domain.
I must not send or ask anything, nor be satisfied by a default.
My tests are in tests/unit/test_interlocks.py.
"""

from engine.config import Settings
from engine.domain.command import Arming, Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.limits import limits_by_hand
from engine.redaction import last_digits

PHRASE = "TRADE LIVE"
_PHRASE_WANTED = f"{PHRASE} and the last four digits of the account"


def arming_phrase(account_id: str) -> str:
    """Return what a person must type to trade this account live."""
    return f"{PHRASE} {last_digits(account_id)}"


def check_environment(config: SessionConfig, settings: Settings) -> None:
    """Refuse what .env does not say: raises ConfigError that names the setting."""
    mode, environment = config.mode, settings.oanda_environment
    if mode.sends_orders and str(mode) != environment:
        raise ConfigError(
            f"OANDA_ENVIRONMENT is {environment}; mode {mode} needs OANDA_ENVIRONMENT={mode} in .env, "
            "with the token and the account of that environment."
        )
    if mode is Mode.LIVE and not settings.live_trading:
        raise ConfigError("LIVE_TRADING is no; mode live needs LIVE_TRADING=yes in .env.")
    if not settings.oanda_token or not settings.oanda_account_id:
        missing = "OANDA_ACCOUNT_ID" if settings.oanda_token else "OANDA_TOKEN"
        raise ConfigError(f"{missing} is not set; put it into .env to trade at OANDA.")


def check_arming(config: SessionConfig, settings: Settings, arming: Arming | None) -> None:
    """Refuse to trade live what no person armed: raises ConfigError that says what is missing."""
    if config.mode is not Mode.LIVE:
        return
    given = arming or Arming(phrase="", limits_set=())
    missing = [name for name in limits_by_hand() if name not in given.limits_set]
    if missing:
        raise ConfigError(
            f"Mode live takes no default for what bounds a loss; set {', '.join(missing)} by hand: type it, or take a "
            "profile that you saved and that states it; a built-in one does not count."
        )
    if given.phrase != arming_phrase(settings.oanda_account_id):
        what = f"{given.phrase!r} was typed" if given.phrase else "nothing was typed"
        raise ConfigError(f"Mode live wants to be confirmed by typing {_PHRASE_WANTED}; {what}.")
