"""The news calendar on the risk page: taken whole or not at all, by the file and by the session that runs."""

import pytest
from msgspec.structs import replace

from engine import news
from engine.domain.command import StopSession
from engine.node import TradingNode
from pages import risk
from tests.ui.console import opened, order, texts, wait_for
from tests.ui.oanda import pick
from tests.ui.test_risk import LIVE, answered, part, rows, started

SOON = b"time,currency,title\n2025-01-06T20:00:00Z,USD,Jobs\n"
OTHER = b"time,currency,title\n2026-01-09T13:30:00Z,USD,Rates\n"


def test_news_are_uploaded_kept_and_given_to_the_session(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.NEWS)
    assert "Entries are not stopped by news" in texts(app)
    app.file_uploader[0].set_value(("bad.csv", b"time,currency,title\nsoon,USD,Jobs\n", "text/csv")).run()
    assert "Line 2: time is 'soon'; it must be a date and time with its offset" in texts(app)
    assert "Use this calendar" not in [item.label for item in app.button]
    assert not node.settings.news_path.exists()
    sound = b"time,currency,title\n2026-01-09T13:30:00Z,USD,Jobs\n2026-01-10T13:30:00Z,*,Rates\n"
    app.file_uploader[0].set_value(("news.csv", sound, "text/csv")).run()
    pick(app.button, "Use this calendar").click().run()
    assert "Accepted at" in answered(node, app, 1)
    assert [event.title for event in node.snapshot.news] == ["Jobs", "Rates"]
    assert node.settings.news_path.read_bytes() == sound
    assert [(row["Moves"], row["Event"]) for row in rows(app, "Event")] == [
        ("USD", "Jobs"),
        ("every currency", "Rates"),
    ]


def test_without_a_session_the_file_is_shown_and_a_bad_one_is_told(node: TradingNode) -> None:
    news.replace(node.settings.news_path, b"time,currency,title\n2026-01-09T13:30:00Z,USD,Jobs\n")
    assert [row["Time"] for row in rows(opened("risk"), "Event")] == ["2026-01-09 13:30:00 UTC"]
    node.settings.news_path.write_text("time,currency,title\nsoon,USD,Jobs\n")
    assert "No session starts before it is replaced." in texts(opened("risk"))


def test_a_calendar_that_the_session_refuses_leaves_the_file_of_before(node: TradingNode) -> None:
    news.replace(node.settings.news_path, SOON)
    shot = started(node, replace(LIVE, speed=60.0))
    session = node._session
    assert session is not None
    session.desk.no_loosening_until_ns = shot.ts_ns + 86_400_000_000_000  # as after a daily breaker
    wait_for(node, lambda snapshot: snapshot.no_loosening_until_ns > snapshot.ts_ns)
    app = part(opened("risk"), risk.NEWS)
    app.file_uploader[0].set_value(("news.csv", OTHER, "text/csv")).run()
    pick(app.button, "Use this calendar").click().run()
    said = answered(node, app, 1)
    assert "Refused at" in said and "would be less strict" in said
    assert "The calendar of before stays" in said
    assert "sessions load it when they start" not in said
    assert node.settings.news_path.read_bytes() == SOON
    assert [event.title for event in node.snapshot.news] == ["Jobs"]
    order(node, StopSession(command_id="end"))


def test_without_a_session_a_calendar_is_kept_at_once(node: TradingNode) -> None:
    app = opened("risk")
    app.file_uploader[0].set_value(("news.csv", OTHER, "text/csv")).run()
    pick(app.button, "Use this calendar").click().run()
    assert "The calendar with 1 event(s) is kept; sessions load it when they start." in texts(app)
    assert node.settings.news_path.read_bytes() == OTHER


def test_a_file_that_cannot_be_written_is_told_beside_what_the_session_took(
    node: TradingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(node)
    node.settings.news_path.mkdir()  # a folder where the file should be
    app = part(opened("risk"), risk.NEWS)
    app.file_uploader[0].set_value(("news.csv", OTHER, "text/csv")).run()
    pick(app.button, "Use this calendar").click().run()
    said = answered(node, app, 1)
    assert "Accepted at" in said
    assert "news.csv cannot be written" in said
    assert "The session that runs has the new calendar; the next one would begin with the last one." in said
