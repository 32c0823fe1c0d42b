"""The cost of gates on a page: nothing, a few, many, and what cannot be read."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.event import BlockedOutcome, Ending, SessionState
from engine.gate_costs import gate_costs
from engine.node import TradingNode
from engine.snapshot import Counts, Snapshot
from pages.parts import figures
from pages.parts import gate_costs as part
from tests.ui.console import PATIENCE_S, texts
from tests.unit.store.tape import opened_store, record, story

LOST = BlockedOutcome(
    ts_ns=1, instrument="EUR_USD", bar_ts_ns=0, direction=1, gates=("spread",), entry_price=Decimal(1),
    exit_price=Decimal(1), units=Decimal(1), financing_home=Decimal(0), result_home=Decimal(-10),
    result_r=Decimal(-1), ended=Ending.STOP, bars=1,
)  # fmt: skip
WON = replace(LOST, result_home=Decimal(20), result_r=Decimal(2), ended=Ending.TARGET)
DAILY = ("breaker daily_loss",)
MANY = (
    *[LOST] * 12,
    WON,
    *[replace(WON, gates=DAILY)] * 12,
    *[replace(LOST, gates=(*DAILY, "positions"))] * 2,
)


def draw_only(node: object, snapshot: object) -> None:
    from pages.parts import gate_costs

    gate_costs.draw(node, snapshot)  # type: ignore[arg-type]


def journaled(node: TradingNode, outcomes: Sequence[BlockedOutcome]) -> None:
    node.database_path.parent.mkdir(parents=True, exist_ok=True)
    store = opened_store(node.database_path)
    journal = store.begin_run()
    events = story(journal.run_id).events
    record(journal, [events[0], *outcomes, *events[1:]])
    store.close()


def of_run(outcomes: int, followed: int = 0) -> Snapshot:
    counts = Counts(outcomes=outcomes, followed=followed)
    return Snapshot(run_id=1, session_state=SessionState.RUNNING, counts=counts)


def drawn(node: TradingNode, snapshot: Snapshot) -> AppTest:
    app = AppTest.from_function(draw_only, args=(node, snapshot), default_timeout=PATIENCE_S).run()
    assert not app.exception
    return app


def test_before_a_run_and_before_anything_is_blocked_it_says_so(node: TradingNode) -> None:
    for shot in (Snapshot(), of_run(0)):
        app = drawn(node, shot)
        assert "Nothing was blocked yet" in texts(app) and not app.dataframe


def test_what_is_still_followed_is_counted(node: TradingNode) -> None:
    assert "3 blocked signals are still being followed." in texts(drawn(node, of_run(0, 3)))
    assert "1 blocked signal is still being followed." in texts(drawn(node, of_run(0, 1)))
    ended = replace(of_run(0, 2), session_state=SessionState.STOPPED)
    assert "2 blocked signals had no end when the run ended, and are left out." in texts(drawn(node, ended))


def test_a_few_outcomes_are_a_table_without_a_claim(node: TradingNode) -> None:
    journaled(node, [LOST, WON])
    app = drawn(node, of_run(2, 1))
    (table,) = app.dataframe
    assert table.value.to_dict("records") == [
        {
            "Gate": "spread", "Verdict": "cannot be told from 2 outcomes", "Blocked": 2, "Alone": 2, "Won": 1,
            "Would have made": "+10.00", "Mean": "+0.50 R", "95 % interval": "-18.56 R to +19.56 R", "Sum": "+1.00 R",
        }
    ]  # fmt: skip
    said = texts(app)
    assert "A chart comes once a gate has 10 outcomes." in said
    assert "1 blocked signal is still being followed. Each blocked signal" in said and "without slippage" in said


def test_many_outcomes_have_verdicts_and_a_chart_of_those_that_have_enough(node: TradingNode) -> None:
    journaled(node, MANY)
    app = drawn(node, of_run(len(MANY)))
    verdicts = app.dataframe[0].value.set_index("Gate")["Verdict"].to_dict()
    assert verdicts == {
        "breaker daily loss": "cost money",
        "spread": "saved money",
        "positions": "cannot be told from 2 outcomes",
    }
    assert "Left of zero" in texts(app) and "A chart comes" not in texts(app)


def test_it_reads_again_only_for_another_outcome(node: TradingNode, monkeypatch: pytest.MonkeyPatch) -> None:
    journaled(node, [LOST, WON])
    read: list[int] = []
    real = part._read
    monkeypatch.setattr(part, "_read", lambda path, run_id: read.append(run_id) or real(path, run_id))
    app = drawn(node, of_run(2))
    app.run()
    assert read == [1]
    # one more was counted than the file has: it is asked until they agree
    app = drawn(node, of_run(3))
    app.run()
    assert read == [1, 1, 1]


def test_a_database_that_cannot_be_read_is_one_sentence(node: TradingNode) -> None:
    node.database_path.parent.mkdir(parents=True, exist_ok=True)
    node.database_path.write_bytes(b"not a database, but long enough to be looked at as one" * 20)
    app = drawn(node, of_run(1))
    assert "What was blocked cannot be read now" in app.error[0].value and not app.dataframe


def test_the_figure_tells_verdicts_by_shape_and_draws_each_interval() -> None:
    costs = gate_costs(MANY)
    figure = figures.gate_costs(costs)
    by_name = {trace.name: trace for trace in figure.data}
    shapes = {name: trace.marker.symbol for name, trace in by_name.items()}
    assert shapes == {
        "saved money": "triangle-left", "cost money": "triangle-right", "cannot be told": "circle-open",
    }  # fmt: skip
    saved, spread = by_name["saved money"], next(cost for cost in costs if cost.gate == "spread")
    assert list(saved.y) == ["spread"] and list(saved.x) == [float(spread.mean_r)]
    assert saved.x[0] - saved.error_x.arrayminus[0] == pytest.approx(float(spread.low_r or 0))
    assert saved.x[0] + saved.error_x.array[0] == pytest.approx(float(spread.high_r or 0))
    assert list(figure.layout.yaxis.categoryarray) == ["breaker daily loss", "spread", "positions"]
