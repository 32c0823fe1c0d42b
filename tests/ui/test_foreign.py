"""Trades that were made by hand at a real venue: how they are shown, what they stop, and the operator's choice."""

from decimal import Decimal

from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.account import WorkingOrder
from engine.domain.command import Mode, SessionConfig, StartSession, StopSession
from engine.domain.event import Claim
from engine.node import TradingNode
from engine.snapshot import ForeignTrade, Snapshot
from pages import risk
from pages.parts import foreign, formats, frame
from tests.ui.console import PATIENCE_S, opened, order, texts, wait_for
from tests.ui.oanda import ask, give_code, labels, open_at_the_venue, pick, trade_by_hand, wait_until_running
from tests.ui.oanda import calm as calm

EUR, GBP = "EUR_USD", "GBP_USD"
CONFIG = SessionConfig(mode=Mode.PRACTICE, instruments=(EUR,), model_id="sma-cross:2/5", speed=1.0)


def begun(node: TradingNode, *, both: bool = False) -> Snapshot:
    """Run a session on an account that holds a trade without a stop, and perhaps one in an instrument not traded."""
    trade_by_hand(node, EUR, 1_000)
    order(node, StartSession(command_id="begin", config=CONFIG))
    wait_until_running(node)
    if both:
        trade_by_hand(node, GBP, -500, stopLossOnFill={"price": "2.50000"})
    return wait_for(node, lambda s: len(s.foreign_trades) == len(s.positions) == (2 if both else 1))


def page(node: TradingNode) -> AppTest:
    return give_code(opened("overview"), node.unlock_code.text)


def claim_of(snapshot: Snapshot, trade_id: str) -> Claim | None:
    (found,) = (each.claim for each in snapshot.foreign_trades if each.trade.trade_id == trade_id)
    return found


def by_instrument(snapshot: Snapshot) -> dict[str, ForeignTrade]:
    return {each.trade.instrument: each for each in snapshot.foreign_trades}


def choice(app: AppTest, name: str, trade_id: str):
    (found,) = (item for item in app.button if str(item.key).startswith(f"claim-{name}-{trade_id}-"))
    return found


def test_one_trade_is_shown_with_all_that_is_known_of_it(calm: TradingNode) -> None:
    shot = begun(calm)
    trade = shot.foreign_trades[0].trade
    app = page(calm)
    assert [item.value.replace("\\", "") for item in app.warning] == [
        "**Keel did not open this trade.** Nothing is traded in EUR_USD until you adopt or close it."
    ]
    said = texts(app).replace("&nbsp; ", "")
    assert f"**Trade {trade.trade_id}** EUR_USD ▲ long 1,000 units at {trade.price:.5f} " in said
    assert f"opened {formats.utc(trade.opened_ns)} :red[**stop none**] :orange-badge[not decided]" in said
    assert labels(app) == ["Adopt", "Leave alone", "Close"]
    for word in ("gets a stop-loss if it has none", "stays as it is", "closed at the market, after one more question"):
        assert word in said


def test_two_trades_are_two_rows_with_three_choices_each(calm: TradingNode) -> None:
    shot = begun(calm, both=True)
    app = page(calm)
    assert "**Keel did not open these trades.** Nothing is traded in EUR_USD, GBP_USD until you" in texts(app)
    assert labels(app) == ["Adopt", "Leave alone", "Close"] * 2
    said = texts(app).replace("&nbsp; ", "")
    short = by_instrument(shot)[GBP].trade
    assert f"GBP_USD ▼ short 500 units at {short.price:.5f}" in said
    assert "stop 2.50000 :orange-badge[not decided]" in said


def test_what_is_left_alone_is_said_and_can_still_be_adopted(calm: TradingNode) -> None:
    shot = begun(calm)
    trade_id = shot.foreign_trades[0].trade.trade_id
    app = page(calm)
    choice(app, "ignore", trade_id).click().run()
    wait_for(calm, lambda s: claim_of(s, trade_id) is Claim.IGNORE)
    app.run()
    assert not app.warning
    assert "You leave this trade alone. Nothing is traded in EUR_USD while it is open." in texts(app)
    assert ":gray-badge[left alone]" in texts(app)
    assert choice(app, "ignore", trade_id).disabled
    choice(app, "adopt", trade_id).click().run()
    wait_for(calm, lambda s: trade_id not in {each.trade.trade_id for each in s.foreign_trades})
    assert trade_id in open_at_the_venue(calm)


def test_an_adopted_trade_leaves_the_block_and_gets_a_stop(calm: TradingNode) -> None:
    shot = begun(calm)
    trade_id = shot.foreign_trades[0].trade.trade_id
    choice(page(calm), "adopt", trade_id).click().run()
    wait_for(calm, lambda s: not s.foreign_trades)
    kept = wait_for(calm, lambda s: all(trade.stop_loss is not None for trade in s.open_trades))
    assert [trade.trade_id for trade in kept.open_trades] == [trade_id]
    assert "stopLossOrder" in ask(calm, "GET", f"/trades/{trade_id}")["trade"]
    assert "Trades that Keel did not open" not in texts(opened("overview"))


def close_question(trade_id: str) -> None:
    import streamlit as st

    from engine.node import TradingNode
    from pages.parts import foreign

    st.session_state["keel-unlocked"] = True
    foreign.close_body(TradingNode.attach(), trade_id)


def question(trade_id: str) -> AppTest:
    return AppTest.from_function(close_question, args=(trade_id,), default_timeout=PATIENCE_S).run()


def test_close_asks_back_and_then_closes_that_trade_alone(calm: TradingNode) -> None:
    shot = begun(calm, both=True)
    long, short = by_instrument(shot)[EUR].trade.trade_id, by_instrument(shot)[GBP].trade.trade_id
    asked = question(short)
    assert asked.markdown[0].value.replace("\\", "") == (
        "**Close GBP_USD ▼ short 500 units at the market on the practice account.** Keel did not open this trade."
    )
    pick(asked.button, "Cancel").click().run()
    assert open_at_the_venue(calm) == {long, short}
    pick(question(short).button, f"Close trade {short} now").click().run()
    wait_for(calm, lambda s: len(s.foreign_trades) == 1)
    assert open_at_the_venue(calm) == {long}
    gone = question(short)
    assert f"Trade {short} is not open any more." in texts(gone)
    assert pick(gone.button, "Close trade").disabled


def test_the_click_on_close_sends_nothing_yet(calm: TradingNode) -> None:
    shot = begun(calm)
    trade_id = shot.foreign_trades[0].trade.trade_id
    app = page(calm)
    choice(app, "close", trade_id).click().run()
    assert not app.exception
    assert {f"Close trade {trade_id} now", "Cancel"} <= set(labels(app))
    assert open_at_the_venue(calm) == {trade_id}
    assert [item.command for item in calm.snapshot.verdicts] == ["StartSession"]


def test_before_the_code_there_is_nothing_to_choose(calm: TradingNode) -> None:
    begun(calm)
    app = opened("overview")
    assert "Keel did not open this trade." in texts(app)
    assert labels(app) == ["Unlock"]
    give_code(app, calm.unlock_code.text)
    assert labels(app) == ["Adopt", "Leave alone", "Close"]


def test_after_the_session_the_trades_are_shown_and_nothing_can_be_chosen(calm: TradingNode) -> None:
    begun(calm)
    order(calm, StopSession(command_id="end"))
    wait_for(calm, lambda s: not s.active)
    app = opened("overview")
    assert ":orange-badge[not decided]" in texts(app)
    assert not app.warning
    assert not {"Adopt", "Leave alone", "Close"} & set(labels(app))


def test_why_nothing_is_traded_names_the_trade(calm: TradingNode) -> None:
    shot = begun(calm)
    trade_id = shot.foreign_trades[0].trade.trade_id
    assert frame.why_not_trading(shot) == f"EUR_USD holds trade {trade_id}, which Keel did not open; see Overview."
    config = replace(CONFIG, instruments=(EUR, "USD_JPY"))
    assert "Keel did not open" not in frame.why_not_trading(replace(shot, config=config))


def limit_by_hand(node: TradingNode, instrument: str, units: int, price: str) -> str:
    """Leave an order waiting at the venue that Keel does not know of; returns its number."""
    order = {"type": "LIMIT", "instrument": instrument, "units": str(units), "price": price, "timeInForce": "GTC"}
    return str(ask(node, "POST", "/orders", {"order": order})["orderCreateTransaction"]["id"])


def test_orders_that_wait_at_the_broker_are_named_with_what_they_could_open(calm: TradingNode) -> None:
    first = limit_by_hand(calm, EUR, 1_000, "0.50000")
    second = limit_by_hand(calm, GBP, -500, "2.50000")
    order(calm, StartSession(command_id="begin", config=CONFIG))
    wait_until_running(calm)
    app = opened("overview")
    assert not app.exception
    said = texts(app).replace("&nbsp; ", "").replace("\\", "")
    assert "**Waiting orders that Keel did not make**" in said
    assert f"**Order {first}** LIMIT could open 1,000 EUR_USD ▲ long at 0.50000" in said
    assert f"**Order {second}** LIMIT could open 500 GBP_USD ▼ short at 2.50000" in said
    assert "counts a waiting order as if it were filled" in said and "python -m engine flatten" in said
    assert "Trades that Keel did not open" not in said
    assert not calm.snapshot.foreign_trades
    sums = opened("risk").button_group[0].select(risk.EXPOSURE).run()
    assert "2 waiting order(s) at the broker are not Keel's" in texts(sums)
    assert ("positions_max", "2 positions") in {(use.name, use.value) for use in calm.snapshot.usage}


def test_an_order_of_which_little_is_told_is_named_all_the_same() -> None:
    strange = WorkingOrder(
        order_id="9", kind="NEW", instrument=None, units=None, trade_id=None, price=None, client_order_id=None
    )
    assert foreign.could_open(Snapshot(), strange) == "something that OANDA does not name, and that cannot be counted"
    told = replace(strange, instrument=EUR, units=Decimal(-7))
    assert foreign.could_open(Snapshot(), told) == "7 EUR\\_USD ▼ short"
