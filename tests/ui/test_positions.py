"""Open positions of real sessions: what they may lose, what has no stop, no price, or was opened elsewhere."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.event import SessionState
from engine.node import TradingNode
from engine.snapshot import Snapshot
from pages.parts import formats, frame, positions
from tests.ui.console import PATIENCE_S, opened, texts, wait_for
from tests.ui.oanda import calm as calm
from tests.ui.oanda import trade_by_hand
from tests.ui.test_foreign import EUR, GBP, begun, by_instrument

RED = "#dc3545"


def draw_only(snapshot: object) -> None:
    from pages import overview

    overview.draw(snapshot, ())  # type: ignore[arg-type]


def drawn(snapshot: Snapshot) -> AppTest:
    app = AppTest.from_function(draw_only, args=(snapshot,), default_timeout=PATIENCE_S).run()
    assert not app.exception
    return app


def table(app: AppTest) -> Any:
    (found,) = (item for item in app.dataframe if "At risk" in item.value.columns)
    return found


def rows(app: AppTest) -> Any:
    return table(app).value.set_index("Instrument")


def tile(app: AppTest, label: str) -> Any:
    (found,) = (item for item in app.metric if item.label.startswith(label))
    return found


def test_a_trade_without_a_stop_is_red_and_named_and_counts_with_its_whole_value(calm: TradingNode) -> None:
    shot = begun(calm, both=True)
    bare = by_instrument(shot)[EUR].trade
    app = drawn(shot)
    assert rows(app)["SL"].to_dict() == {EUR: "no stop", GBP: "2.50000"}
    styles = table(app).proto.styler.styles if hasattr(table(app).proto, "styler") else str(table(app).proto)
    assert RED in str(styles)
    said = texts(app)
    assert f":red[:material/gpp_maybe: **No stop:** trade {bare.trade_id} in EUR_USD, not opened by Keel.]" in said
    help_text = tile(app, "Open risk").proto.help.replace("\\", "")
    assert f":red[**No stop:** trade {bare.trade_id} in EUR_USD, not opened by Keel.]" in help_text
    held = next(item for item in shot.positions if item.instrument == EUR)
    assert held.risk_home == held.units * held.price_now
    assert tile(app, "Open risk").value == formats.money(shot.risk_home)
    assert tile(app, "Open risk").delta.endswith(" %, 1 without a stop")


def test_a_bare_trade_of_ours_is_said_to_get_one_within_seconds(calm: TradingNode) -> None:
    shot = replace(begun(calm), foreign_trades=())
    trade_id = shot.open_trades[0].trade_id
    assert f"trade {trade_id} in EUR_USD; Keel sets one within seconds." in texts(drawn(shot))
    ended = replace(shot, session_state=SessionState.STOPPED)
    assert f"trade {trade_id} in EUR_USD." in texts(drawn(ended))


def test_a_position_of_which_some_have_no_stop_says_how_many(calm: TradingNode) -> None:
    begun(calm)
    trade_by_hand(calm, EUR, 500, stopLossOnFill={"price": "0.50000"})
    shot = wait_for(calm, lambda snapshot: len(snapshot.foreign_trades) == 2)
    assert rows(drawn(shot)).loc[EUR, "SL"] == "no stop on 1 of 2"


def test_with_a_stop_on_each_trade_nothing_is_red(calm: TradingNode) -> None:
    begun(calm)
    shot = calm.snapshot
    safe = tuple(replace(trade, stop_loss=Decimal("0.5")) for trade in shot.open_trades)
    app = drawn(replace(shot, open_trades=safe))
    assert RED not in str(table(app).proto)
    assert "No stop" not in texts(app)
    assert tile(app, "Open risk").proto.help == "What equity falls from now on if every stop is hit at its price."


def test_foreign_units_are_marked_in_the_table(calm: TradingNode) -> None:
    shot = begun(calm, both=True)
    assert rows(drawn(shot))["Not Keel's"].to_dict() == {EUR: "▲ long 1,000", GBP: "▼ short 500"}
    ours = replace(shot, foreign_trades=(by_instrument(shot)[GBP],))
    assert rows(drawn(ours))["Not Keel's"].to_dict() == {EUR: "", GBP: "▼ short 500"}
    assert "Not Keel's" not in rows(drawn(replace(shot, foreign_trades=()))).columns


def test_an_instrument_that_is_held_and_not_traded_has_its_decimals(calm: TradingNode) -> None:
    begun(calm)
    trade_by_hand(calm, "USD_JPY", 700)
    shot = wait_for(calm, lambda snapshot: "USD_JPY" in {item.instrument for item in snapshot.positions})
    app = opened("overview")
    assert [len(price.split(".")[1]) for price in rows(app)["Price"]] == [5, 3]
    assert shot.session_state is SessionState.RUNNING


def test_a_loss_that_nobody_knows_is_not_called_nothing(calm: TradingNode) -> None:
    shot = begun(calm, both=True)
    blind = replace(shot, positions=shot.positions[:1], exposure_home=Decimal(0), risk_home=shot.positions[0].risk_home)
    (name,) = positions.unpriced(blind)
    app = drawn(blind)
    for label in ("Open risk", "Exposure"):
        assert (tile(app, label).value, tile(app, label).delta) == ("not known", f"no price of {name} yet")
    assert f"{name} is held and has no price yet" in texts(app)
    assert frame._risk(blind) == "not known"
    assert f"{name} is held and has no price yet" in texts(drawn(replace(blind, positions=())))


def test_what_is_held_is_shown_while_warming_up(calm: TradingNode) -> None:
    shot = replace(begun(calm), session_state=SessionState.WARMING_UP)
    assert list(rows(drawn(shot)).index) == [EUR]
