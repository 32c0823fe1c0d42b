"""What a person may ask: values out of range get one sentence, and a request cannot change after birth."""

from decimal import Decimal
from typing import Any, get_args

import pytest

from engine.domain.command import (
    AcknowledgeBreaker,
    ArmLive,
    ClaimTrade,
    ClosePosition,
    Command,
    Mode,
    SessionConfig,
    SetNews,
    StartSession,
    StopSession,
    TryOrder,
    UpdateRiskLimits,
)
from engine.domain.error import ConfigError
from engine.domain.limits import RiskLimits

NEEDS: dict[Any, dict[str, Any]] = {
    ArmLive: {"phrase": "TRADE LIVE 7001"},
    ClaimTrade: {"trade_id": "7", "choice": "adopt"},
    StartSession: {"config": SessionConfig()},
    ClosePosition: {"instrument": "EUR_USD"},
    UpdateRiskLimits: {"limits": RiskLimits()},
    AcknowledgeBreaker: {"breaker": "daily_loss", "reason": "looked at it"},
    SetNews: {"news": ()},
    TryOrder: {"instrument": "EUR_USD", "direction": 1},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capital_home", Decimal(100)),
        ("capital_home", Decimal(1_000_000_000)),
        ("speed", 0.1),
        ("speed", 86_400.0),
        ("speed", None),
        ("duration_s", 1),
        ("duration_s", None),
        ("seed", 0),
        ("seed", 2**63 - 1),
        ("warmup_timeout_s", 1),
        ("instruments", ()),
        ("instruments", ("EUR_USD", "USD_JPY")),
        ("mode", Mode.REPLAY),
    ],
)
def test_value_at_the_edge_of_its_range_is_taken(name: str, value: object) -> None:
    assert getattr(SessionConfig(**{name: value}), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("capital_home", Decimal("99.99"), "Capital is 99.99; it must be from 100 to 1000000000."),
        ("capital_home", Decimal("1000000000.01"), "Capital is 1000000000.01; it must be from 100 to 1000000000."),
        ("capital_home", Decimal("Infinity"), "Capital is Infinity; it must be from 100 to 1000000000."),
        ("capital_home", Decimal(-5_000), "Capital is -5000; it must be from 100 to 1000000000."),
        ("speed", 0.09, "Speed is 0.09; it must be from 0.1 to 86400, or max."),
        ("speed", 86_401.0, "Speed is 86401; it must be from 0.1 to 86400, or max."),
        ("speed", float("nan"), "Speed is nan; it must be from 0.1 to 86400, or max."),
        ("speed", -1.0, "Speed is -1; it must be from 0.1 to 86400, or max."),
        ("duration_s", 0, "Duration is 0 s; it must be from 1 to 315360000 s (10 years)."),
        ("seed", -1, f"Seed is -1; it must be from 0 to {2**63 - 1}."),
        ("seed", 2**63, f"Seed is {2**63}; it must be from 0 to {2**63 - 1}."),
        ("warmup_timeout_s", 0, "Warm-up timeout is 0 s; it must be more than 0."),
        ("instruments", ("EUR_USD", "EUR_USD"), "Instruments EUR_USD, EUR_USD name one instrument twice."),
    ],
)
def test_value_out_of_range_is_refused_in_one_sentence(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SessionConfig(**{name: value})  # type: ignore[arg-type]
    assert str(refused.value) == sentence


def test_capital_that_is_no_number_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="Capital is NaN"):
        SessionConfig(capital_home=Decimal("NaN"))


@pytest.mark.parametrize("kind", get_args(Command), ids=lambda kind: kind.__name__)
def test_each_command_carries_its_id_and_is_frozen(kind: Any) -> None:
    command = kind(command_id="c-1", **NEEDS.get(kind, {}))
    assert command.command_id == "c-1"
    with pytest.raises(AttributeError):
        command.command_id = "c-2"


def test_commands_of_equal_content_are_equal() -> None:
    assert StopSession(command_id="a") == StopSession(command_id="a") != StopSession(command_id="b")


def test_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        SessionConfig().seed = 2  # type: ignore[misc]
