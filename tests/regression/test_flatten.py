"""The way out of an earlier bot: it said "closed and stopped" with positions open, or was not there when needed."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.config import Settings
from engine.domain.command import ClosePosition, Command, FlattenAll
from engine.domain.event import TradingState
from engine.kill import Patience, flatten
from engine.redaction import Secret
from tests.fakes.faults import Replace, Rewrite
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.regression.practice import Model, practising
from tests.unit.adapters.oanda.stand import Stand
from tests.unit.session.faulty import LOST_ORDER, make_faulty
from tests.unit.session.rig import bar

SHORT = Patience(timeout_s=0.2, pause_s=0.01, settle_s=0.0)
LONG = Patience(timeout_s=20.0, pause_s=0.01, settle_s=0.0)


def settings_of(stand: Stand, folder: Path) -> Settings:
    return Settings(
        data_dir=folder / "data",
        oanda_token=Secret(TOKEN),
        oanda_account_id=ACCOUNT,
        oanda_loopback_url=stand.proxy.url,
    )


NOTHING_SAID = [Replace(status=503), Replace(status=200, body=b"null"), Replace(status=401), Replace(status=404)]


@pytest.mark.parametrize("fault", NOTHING_SAID, ids=["503", "null", "401", "404"])
def test_flatten_api_error_is_not_flat(stand: Stand, tmp_path: Path, fault: Replace) -> None:
    """A broker that did not answer was taken for an account without positions: "closed and stopped"."""
    stand.order(1_000)
    stand.proxy.inject(fault, times=None)
    outcome = flatten(settings_of(stand, tmp_path), lambda _: None, SHORT)
    assert not outcome.flat and outcome.text.startswith("NOT FLAT: ")
    assert stand.units() == {"EUR_USD": 1_000}


def test_flatten_api_error_is_not_flat_in_a_session(tmp_path: Path) -> None:
    """The button said that all was closed when the close had failed, and the running loop opened positions again."""
    rig = make_faulty(tmp_path, [[bar(index, Decimal("1.1")) for index in range(40)]], dict.fromkeys(range(8, 40), 1))
    while not rig.session.desk.ledger.held:
        rig.step()
    rig.broker.outcomes[2] = LOST_ORDER
    rig.command(FlattenAll(command_id="f"))
    verdict = rig.session.desk.verdicts[-1]
    assert "NOT FLAT yet" in verdict.detail and "EUR_USD" in verdict.detail
    assert len(rig.broker.inner.holdings().trades) == 1
    rig.play()
    assert rig.broker.inner.holdings().trades == ()
    assert rig.session.desk.trading_state is TradingState.HALTED
    assert [one.reduce_only for one in rig.broker.submitted] == [False, True, True], "nothing was opened after it"


@pytest.mark.parametrize("end", ["stopped", "crashed"])
def test_flatten_when_stopped(stand: Stand, tmp_path: Path, end: str) -> None:
    """The emergency button was dead unless the loop ran: after a stop or a crash nothing could close positions."""
    with practising(stand, tmp_path, Model(1), instruments=("EUR_USD", "USD_JPY")) as practice:
        practice.until(lambda: len(practice.desk.ledger.held) == 2)
        if end == "stopped":
            practice.session.stop("stopped by the operator")
    assert len(stand.units()) == 2
    assert flatten(settings_of(stand, tmp_path), lambda _: None, LONG).flat
    assert stand.units() == {} and stand.ask("/pendingOrders")["orders"] == []


def test_flatten_closes_both_sides(stand: Stand, tmp_path: Path) -> None:
    """Long, else short: an account that holds both sides of an instrument kept one of them."""
    stand.order(1_000)

    def hedged(body: bytes) -> bytes:
        told: dict[str, Any] = json.loads(body)
        told["account"]["positions"][0]["short"]["units"] = "-300"
        return json.dumps(told).encode()

    stand.proxy.inject(Rewrite(change=hedged), method="GET")
    assert flatten(settings_of(stand, tmp_path), lambda _: None, LONG).flat
    sent = [json.loads(each.body) for each in stand.proxy.arrived if each.method == "PUT"]
    assert sorted(side for body in sent for side, what in body.items() if what == "ALL") == ["longUnits", "shortUnits"]


@pytest.mark.parametrize(
    "command",
    [ClosePosition(command_id="c", instrument="USD_JPY"), FlattenAll(command_id="f")],
    ids=["close", "flatten"],
)
def test_what_is_held_and_not_offered_any_more_can_be_closed(stand: Stand, tmp_path: Path, command: Command) -> None:
    """Closing it by hand ended the session on an error, and a flatten tried for ever what it never sent."""

    def without(body: bytes) -> bytes:
        told: dict[str, Any] = json.loads(body)
        told["instruments"] = [one for one in told["instruments"] if one["name"] != "USD_JPY"]
        return json.dumps(told).encode()

    stand.order(1_000, "USD_JPY")
    stand.proxy.inject(Rewrite(change=without), path="/instruments$")
    with practising(stand, tmp_path, Model(0)) as practice:
        practice.step()
        assert practice.desk.ledger.held == ("USD_JPY",) and "USD_JPY" not in practice.desk.offered
        accepted, text = practice.command(command)
        assert accepted and "NOT" not in text
        assert stand.units() == {}
        practice.check()
