"""The interlocks: each alone keeps an order from leaving, and says in one sentence what is missing."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.config import Settings, load_settings
from engine.domain.command import Arming, Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.limits import limits_by_hand
from engine.interlocks import arming_phrase, check_arming, check_environment

ACCOUNT = "001-001-7654321-009"
PHRASE = "TRADE LIVE 1009"
LIVE = {
    "OANDA_ENVIRONMENT": "live",
    "LIVE_TRADING": "yes",
    "OANDA_TOKEN": "canary-live-token",
    "OANDA_ACCOUNT_ID": ACCOUNT,
}
ARMING = Arming(phrase=PHRASE, limits_set=limits_by_hand())


def settings(**changes: str) -> Settings:
    return load_settings({**LIVE, **changes}, Path("no-such-file.env"))


def config(mode: Mode) -> SessionConfig:
    return SessionConfig(mode=mode, instruments=("EUR_USD",))


def refused(mode: Mode, given: Settings, arming: Arming | None = ARMING) -> str:
    """Be refused; returns the sentence, which shows neither the token nor the account."""
    with pytest.raises(ConfigError) as caught:
        check_environment(config(mode), given)
        check_arming(config(mode), given, arming)
    text = str(caught.value)
    assert "canary" not in text and ACCOUNT not in text and "1009" not in text
    return text


def test_live_passes_when_everything_holds() -> None:
    check_environment(config(Mode.LIVE), settings())
    check_arming(config(Mode.LIVE), settings(), ARMING)


def test_phrase_has_the_last_four_digits_whatever_stands_between_them() -> None:
    assert arming_phrase(ACCOUNT) == PHRASE
    assert arming_phrase("101-001-1234567-12") == "TRADE LIVE 6712"


def test_the_environment_is_what_env_says() -> None:
    assert refused(Mode.LIVE, settings(OANDA_ENVIRONMENT="practice")) == (
        "OANDA_ENVIRONMENT is practice; mode live needs OANDA_ENVIRONMENT=live in .env, "
        "with the token and the account of that environment."
    )
    assert refused(Mode.PRACTICE, settings()).startswith("OANDA_ENVIRONMENT is live; mode practice needs")


def test_paper_takes_the_prices_of_either_environment() -> None:
    for name in ("practice", "live"):
        check_environment(config(Mode.PAPER), settings(OANDA_ENVIRONMENT=name, LIVE_TRADING="no"))


def test_the_environment_alone_is_not_consent() -> None:
    for consent in ("no", ""):
        assert refused(Mode.LIVE, settings(LIVE_TRADING=consent)) == (
            "LIVE_TRADING is no; mode live needs LIVE_TRADING=yes in .env."
        )


@pytest.mark.parametrize("missing", ["OANDA_TOKEN", "OANDA_ACCOUNT_ID"])
def test_token_and_account_are_needed(missing: str) -> None:
    assert refused(Mode.LIVE, settings(**{missing: ""})) == f"{missing} is not set; put it into .env to trade at OANDA."


@pytest.mark.parametrize("left_out", limits_by_hand())
def test_no_limit_that_bounds_a_loss_may_be_a_default(left_out: str) -> None:
    named = tuple(name for name in limits_by_hand() if name != left_out)
    text = refused(Mode.LIVE, settings(), replace(ARMING, limits_set=named))
    assert text.startswith(
        f"Mode live takes no default for what bounds a loss; set {left_out} by hand: type it, or take"
    )


def test_what_bounds_a_loss() -> None:
    assert limits_by_hand() == (
        "risk_per_trade_pct",
        "exposure_pct_max",
        "position_units_max",
        "positions_max",
        "daily_loss_pct_max",
        "drawdown_pct_max",
    )


@pytest.mark.parametrize(
    "typed", ["trade live 1009", "TRADE LIVE", "TRADE LIVE 100", "TRADE LIVE 1008", " TRADE LIVE 1009"]
)
def test_another_phrase_arms_nothing(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"last four digits of the account; .* was typed"):
        check_arming(config(Mode.LIVE), settings(), replace(ARMING, phrase=typed))


def test_nothing_typed_arms_nothing() -> None:
    unarmed = replace(ARMING, phrase="")
    assert refused(Mode.LIVE, settings(), unarmed) == (
        "Mode live wants to be confirmed by typing TRADE LIVE and the last four digits of the account; "
        "nothing was typed."
    )
    assert refused(Mode.LIVE, settings(), None).startswith("Mode live takes no default")


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.REPLAY, Mode.PAPER, Mode.PRACTICE])
def test_no_other_mode_is_armed(mode: Mode) -> None:
    check_arming(config(mode), settings(), None)
