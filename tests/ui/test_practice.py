"""A practice session from the page to a real venue on loopback: start, hold, flatten, stop, and what is said of it."""

import gc
from collections.abc import Iterator
from contextlib import closing
from types import FunctionType, ModuleType

from streamlit.testing.v1 import AppTest

from engine.config import Settings
from engine.domain.command import Mode, StopSession
from engine.domain.event import SessionState, TradingState
from engine.node import TradingNode
from engine.redaction import Secret
from engine.store import queries
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.ui.console import open_shell, opened, order, show, texts, wait_for
from tests.ui.oanda import choose, give_code, labels, pick, press_start, wait_until_running
from tests.ui.oanda import practice as practice
from tests.ui.oanda import venue as venue


def started(node: TradingNode) -> AppTest:
    """Start a practice session by hand, as a trader would."""
    app = choose(opened("session"), Mode.PRACTICE)
    give_code(app, node.unlock_code.text)
    press_start(app)
    wait_until_running(node)
    return app.run().run()


def flatten_question() -> None:
    import streamlit as st

    from engine.node import TradingNode
    from pages.parts import confirm

    st.session_state["keel-unlocked"] = True
    confirm.flatten_body(TradingNode.attach())


def test_a_practice_session_from_start_to_stop(practice: TradingNode) -> None:
    app = started(practice)
    assert "Start accepted: run 1 started." in texts(app)
    shown = dict(app.table[0].value.itertuples(index=False))
    assert shown["Mode"] == "practice"
    assert shown["Account"].startswith("•••• 7001, the venue at 127.0.0.1:")
    assert shown["Balance at the start"] == "100,000.00 USD"
    assert not {"Speed", "Seed", "Capital", "Recordings"} & set(shown)
    assert "Stop ends the run; open trades stay at OANDA with their stops" in texts(app)

    wait_for(practice, lambda snapshot: bool(snapshot.positions))
    question = AppTest.from_function(flatten_question).run()
    assert "on the practice account" in question.markdown[0].value
    next(item for item in question.button if item.label == "Flatten & halt now").click().run()
    shot = wait_for(practice, lambda s: s.trading_state is TradingState.HALTED and not s.positions)
    assert shot.counts.fills >= 2

    pick(app.run().button, "Stop session").click().run()
    wait_for(practice, lambda snapshot: snapshot.session_state is SessionState.STOPPED)
    assert "Start session" in labels(app.run())
    with closing(queries.connect_readonly(practice.database_path)) as conn:
        assert [run.mode for run in queries.runs(conn)] == ["practice"]


def test_frame_and_overview_speak_of_oanda(practice: TradingNode) -> None:
    started(practice)
    app = give_code(open_shell(), practice.unlock_code.text).run()
    assert [item.label for item in app.sidebar.button] == ["Pause entries", "Stop", "Halt", "Flatten & halt"]
    said = texts(app)
    assert "PRACTICE" in app.markdown[-1].value
    assert "open trades stay at OANDA with their stops" in said
    assert "simulated account" not in said
    assert "sandbox" not in said


def test_what_stays_open_at_oanda_is_said_when_the_run_is_over(practice: TradingNode) -> None:
    started(practice)
    wait_for(practice, lambda snapshot: len(snapshot.open_trades) > 1)
    order(practice, StopSession(command_id="end"))
    shot = wait_for(practice, lambda snapshot: not snapshot.active)
    assert shot.open_trades
    overview = texts(opened("overview"))
    assert "still open. Open trades stay at OANDA with their stops" in overview
    assert "final" not in overview
    assert "They stayed at OANDA with their stops" in texts(opened("trades"))
    show(practice, session_state=SessionState.READY)
    assert "were open: see Trades. Open trades stay at OANDA with their stops" in texts(opened("overview"))


def reached(values: object) -> Iterator[object]:
    """Everything that can be reached from a value, modules, classes and functions left out."""
    seen, waiting = set[int](), [values]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, ModuleType | type | FunctionType):
            continue
        seen.add(id(value))
        yield value
        waiting += gc.get_referents(value)


def test_neither_token_nor_account_is_in_the_browsers_session_or_on_a_page(practice: TradingNode) -> None:
    form = started(practice)
    tab = give_code(open_shell(), practice.unlock_code.text).run()
    for app in (form, tab, opened("overview"), opened("trades")):
        kept = app.session_state._state.filtered_state
        assert kept
        found = list(reached({**kept}))
        assert not [value for value in found if isinstance(value, Secret | Settings)]
        everything = " ".join([texts(app), repr(app._tree), *(value for value in found if isinstance(value, str))])
        for secret in (TOKEN, ACCOUNT, practice.unlock_code.text):
            assert secret not in everything
