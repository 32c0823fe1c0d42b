"""Limits before a real venue: what is breached there is denied here, and reaches the operator's own address once."""

import dataclasses
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.adapters.alerts.webhook import WebhookAlerter
from engine.domain.command import AcknowledgeBreaker
from engine.domain.decision import Action
from engine.domain.limits import ANY
from engine.redaction import Secret
from tests.fakes.receiver import Receiver
from tests.regression import practice as practice_of
from tests.regression.practice import Model, Practice, practising
from tests.unit.adapters.oanda.stand import Stand
from tests.unit.session.rig import PIP

PATIENCE_S = 20.0
BARS = 3
# A price set by hand jumps, and is set beside the market's own in every bar: the guards of that are not meant here.
LIMITS = dataclasses.replace(
    practice_of.LIMITS,
    volatility_ratio_max=Decimal(100),
    spread_ratio_max=Decimal(100),
    price_collar_atr_max=Decimal(100),
)


class Phone:
    """The operator's channel: the true messenger, and who receives."""

    def __init__(self, receiver: Receiver) -> None:
        self.alerter = WebhookAlerter(Secret(receiver.url), lambda: 1, pause_s=0.001)
        self._receiver = receiver

    def got(self) -> list[dict[str, str]]:
        """Everything that was delivered; nothing more is afterwards."""
        self.alerter.close(PATIENCE_S)
        assert (self.alerter.state.error, self.alerter.state.dropped) == ("", 0)
        return self._receiver.got


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Receiver() as receiver:
        yield Phone(receiver)


def stand_at(practice: Practice, bid: Decimal, spread_pips: int = 1) -> None:
    practice.by_hand = str(bid), str(bid + spread_pips * PIP)


def first_bid(practice: Practice) -> Decimal:
    practice.until(lambda: practice.desk.quotes)
    return practice.desk.quotes["EUR_USD"].bid


def decided(practice: Practice, action: Action) -> list[dict[str, Any]]:
    """Decisions of one kind in the journal."""
    found = practice.rows("SELECT payload FROM events WHERE kind = 'DecisionMade' ORDER BY seq")
    made = [json.loads(payload)["decision"] for (payload,) in found]
    return [decision for decision in made if decision["action"] == action]


def shut(decision: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(gate["name"], gate["value"], gate["limit"]) for gate in decision["gates"] if not gate["passed"]]


def delivered_once(practice: Practice, phone: Phone, kind: str) -> dict[str, str]:
    """The one alert, in the journal and at the receiver."""
    ((told,),) = practice.rows("SELECT payload FROM events WHERE kind = 'AlertRaised'")
    (body,) = phone.got()
    assert (json.loads(told)["kind"], json.loads(told)["text"]) == (body["kind"], body["text"])
    assert body["kind"] == kind
    return body


def test_daily_loss_at_the_venue_denies_entries_until_it_is_released(
    new_stand: Stand, phone: Phone, tmp_path: Path
) -> None:
    limits = dataclasses.replace(LIMITS, daily_loss_pct_max=Decimal("0.2"))
    model = Model(1)
    with practising(new_stand, tmp_path, model, limits=limits, alerter=phone.alerter) as practice:
        bid = first_bid(practice)
        stand_at(practice, bid)
        practice.until(lambda: practice.units())
        stand_at(practice, bid - 50 * PIP)  # the venue fills the stop, 40 pips below
        practice.until(lambda: not practice.units())
        practice.check()
        sent, seen = len(practice.posts()), len(decided(practice, Action.DENIED))
        practice.until_bars(BARS)
        denied = decided(practice, Action.DENIED)[seen:]
        assert [shut(one) for one in denied] == [[("trading_state", "REDUCING (breaker daily_loss)", "ACTIVE")]] * BARS
        assert len(practice.posts()) == sent
        ((event,),) = practice.rows("SELECT payload FROM events WHERE kind = 'BreakerTripped'")
        assert (json.loads(event)["breaker"], json.loads(event)["limit"]) == ("daily_loss", "0.2 %")
        release = AcknowledgeBreaker(command_id="r", breaker="daily_loss", reason="looked into it")
        assert practice.command(release)[0]
        practice.until(lambda: practice.units())
        assert len(practice.posts()) == sent + 1
        practice.check()
        assert "daily_loss" in delivered_once(practice, phone, "breaker")["text"]


def test_a_wide_spread_at_the_venue_denies_entries_until_it_is_narrow(
    new_stand: Stand, phone: Phone, tmp_path: Path
) -> None:
    limits = dataclasses.replace(LIMITS, spread_pips_max={ANY: Decimal(3)})
    with practising(new_stand, tmp_path, Model(1), limits=limits, alerter=phone.alerter) as practice:
        bid = first_bid(practice)
        stand_at(practice, bid, spread_pips=5)
        practice.until_bars(BARS)
        denied = decided(practice, Action.DENIED)
        assert [shut(one) for one in denied] == [[("spread", "5 pips", "3 pips")]] * BARS
        assert practice.posts() == []
        stand_at(practice, bid)
        practice.until(lambda: practice.units())
        assert len(practice.posts()) == 1
        practice.check()
        assert "spread" in delivered_once(practice, phone, "denied")["text"]


def test_entries_at_the_venue_keep_their_distance(stand: Stand, phone: Phone, tmp_path: Path) -> None:
    limits = dataclasses.replace(practice_of.LIMITS, order_interval_s_min=Decimal(240))
    model = Model(1)
    with practising(stand, tmp_path, model, limits=limits, alerter=phone.alerter) as practice:
        practice.until(lambda: practice.units())
        model.direction = -1  # the position is closed, and the other side has to wait
        practice.until(lambda: practice.units() < 0)
        (closed,) = decided(practice, Action.EXIT)
        denied = decided(practice, Action.DENIED)
        assert [shut(one) for one in (closed, *denied)] == [
            [("order_interval", f"{seconds}.0 s", "240 s")] for seconds in (60, 120, 180)
        ]
        bought, gone, sold = practice.posts()
        assert [Decimal(bought["units"]) > 0, gone["positionFill"], Decimal(sold["units"]) < 0] == [
            True,
            "REDUCE_ONLY",
            True,
        ]
        practice.check()
        assert "order_interval" in delivered_once(practice, phone, "denied")["text"]
