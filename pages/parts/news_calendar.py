"""I am the news calendar on a page: the next events, and the form that replaces all of them by a CSV file.
I may import streamlit, pandas, the domain, the news file, node, snapshot and the other parts.
I must not take half a calendar, nor keep one that no session would load.
My tests are in tests/ui/test_risk.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine import news
from engine.domain.command import NEWS_MAX, SetNews
from engine.domain.error import ConfigError
from engine.domain.news_text import NEWS_BYTES_MAX, NEWS_COLUMNS, NewsRead, read_news, told
from engine.domain.schedule import NewsEvent
from engine.node import TradingNode
from pages.parts import answers, confirm, formats, unlock

NAME = "risk.news"
SHOWN_MAX = 20
_TAKING = "risk.news-taking"


@dataclass(slots=True)
class _Taking:
    """A calendar that a person wants used, and what became of its file; the engine's thread writes into it too."""

    path: Path
    data: bytes
    count: int = 0
    is_kept: bool = False
    problem: str = ""

    def keep(self) -> None:
        """Put it in the place of the last one."""
        try:
            self.count, self.is_kept = len(news.replace(self.path, self.data)), True
        except ConfigError as error:
            self.problem = str(error)


def next_events(node: TradingNode) -> None:
    """Draw what comes next: of the running session, or else of the file that the next one will load."""
    snapshot = node.snapshot
    if snapshot.active:
        coming = [event for event in snapshot.news if event.ts_ns >= snapshot.ts_ns]
        st.markdown(f"**Next events** ({len(coming):,} of {len(snapshot.news):,} are still to come, by market time)")
        _events(coming, snapshot.ts_ns)
        return
    try:
        events = news.read_if_any(node.settings.news_path)
    except ConfigError as error:
        st.error(f"{formats.escaped(str(error))} No session starts before it is replaced.", icon=":material/error:")
        return
    st.markdown(f"**Events of the file** ({len(events):,}; the next session loads them when it starts)")
    _events(events, None)


def _events(events: "list[NewsEvent] | tuple[NewsEvent, ...]", now_ns: int | None) -> None:
    if not events:
        st.caption("None. Entries are not stopped by news; upload a calendar to change that.")
        return
    rows = [_row(event, now_ns) for event in events[:SHOWN_MAX]]
    st.dataframe(
        pd.DataFrame(rows), column_config=COLUMNS, hide_index=True, height="content", key="risk-news",
        alt=f"The next {len(rows)} events of the news calendar",
    )  # fmt: skip
    if len(events) > SHOWN_MAX:
        st.caption(f"And {len(events) - SHOWN_MAX:,} later ones.")


def _row(event: NewsEvent, now_ns: int | None) -> dict[str, Any]:
    wait = {} if now_ns is None else {"In": formats.age((event.ts_ns - now_ns) / formats.NS_PER_S)}
    moves = "every currency" if event.currency == "*" else event.currency
    return {"Time": formats.utc(event.ts_ns), **wait, "Moves": moves, "Event": event.title}


def form(node: TradingNode) -> None:
    """Draw the upload; it is outside of what is refreshed, so that a chosen file stays chosen."""
    st.markdown("**Replace the calendar**")
    st.caption(
        f"A CSV file in UTF-8 with the columns {', '.join(NEWS_COLUMNS)}: time with offset, like 2026-01-09T13:30:00Z; "
        f"currency like USD, or \\* for all; at most {NEWS_MAX:,} events and {NEWS_BYTES_MAX // 1_000_000} MB. "
        "It takes the place of the last one. How long before and after an event nothing is opened is set by the "
        "limits News blackout before and after."
    )
    given = st.file_uploader("News calendar, CSV", type="csv", key="risk.news.file", max_upload_size=1)
    data = given.getvalue() if given is not None else None
    if data is not None:
        _judge(node, data)
    st.fragment(_answer, run_every=1)(node)


def _judge(node: TradingNode, data: bytes) -> None:
    read = read_news(data)
    for problem in told(read.problems):
        st.error(formats.escaped(problem), icon=":material/error:")
    if read.problems:
        st.caption("Nothing was taken. Mend these lines and choose the file again.")
        return
    st.markdown(_summary(read))
    if unlock.locks_session(node):
        unlock.field(node, NAME)
        return
    drawn_id = confirm.command_id(NAME, node.snapshot)
    with st.container(width=260):
        st.button(
            "Use this calendar", key=f"{NAME}-{drawn_id}", icon=":material/event_available:", type="primary",
            width="stretch", on_click=_take, args=(node, drawn_id, data),
        )  # fmt: skip


def _summary(read: NewsRead) -> str:
    if not read.events:
        return "The file has no events; with it entries are not stopped by news."
    first, last = (formats.escaped(formats.utc(event.ts_ns)) for event in (read.events[0], read.events[-1]))
    return f"{len(read.events):,} event(s), from {first} to {last}. Every line is sound."


def _take(node: TradingNode, drawn_id: str, data: bytes) -> None:
    """Keep the file, but while a session runs only once that has taken it: a refused one must not wait for the next.

    A start that is under way has read the file of before already, so that session is told as well.
    """
    st.session_state[_TAKING] = taking = _Taking(node.settings.news_path, data)
    answers.forget(NAME)
    if not node.snapshot.active and node.wait_until_idle(0):
        taking.keep()
        return
    command = SetNews(command_id=drawn_id, news=read_news(data).events)
    confirm.send(node, NAME, answers.noted(NAME, command), taking.keep)


def _answer(node: TradingNode) -> None:
    """Keep on the page what became of the last file."""
    taking = st.session_state.get(_TAKING)
    if taking is None:
        return
    known = answers.draw(node.snapshot, NAME) if answers.asked(NAME) is not None else None
    if taking.problem:
        st.error(formats.escaped(taking.problem), icon=":material/block:")
        if known is not None:
            st.caption("The session that runs has the new calendar; the next one would begin with the last one.")
    elif taking.is_kept:
        st.success(f"The calendar with {taking.count:,} event(s) is kept; sessions load it when they start.")
    elif known is not None and not known.accepted:
        st.caption("The calendar of before stays: for this session, and as the file that the next one loads.")


COLUMNS: dict[str, Any] = {
    "Time": column.TextColumn(pinned=True),
    "In": column.TextColumn(help="Market time until then", alignment="right"),
    "Event": column.TextColumn(width="large"),
}
