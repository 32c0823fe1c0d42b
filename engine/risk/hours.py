"""I am the hours of entries: windows, the end of the week, the rollover and the news, each allowing or not.
I may import the domain.
I must not read a clock; an answer is remembered until the moment at which it may change.
My tests are in tests/unit/risk/test_hours.py.
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from engine.domain.calendar import day_of, day_start_ns, iso_utc, next_rollover_ns
from engine.domain.limits import RiskLimits, of_key
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent, Windows

MINUTE_NS = 60 * NS_PER_S
_FRIDAY, _SUNDAY, _WEEK = 4, 6, 7
_EVERY = "*"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one kind of hours allows an entry, in words, and until when that holds."""

    passed: bool
    value: str
    limit: str
    until_ns: int


class HoursView(msgspec.Struct, frozen=True, kw_only=True):
    """What all kinds of hours say of one instrument from one moment until another."""

    since_ns: int
    until_ns: int
    window: Answer
    weekend: Answer
    rollover: Answer
    news: Answer


class Hours:
    """Judges the hours of instruments by one set of limits and one calendar of news."""

    def __init__(self, limits: RiskLimits, news: Sequence[NewsEvent] = ()) -> None:
        self._limits = limits
        self.news = tuple(sorted(news, key=lambda event: event.ts_ns))
        self._known: dict[str, HoursView] = {}

    def changed(self, limits: RiskLimits, news: Sequence[NewsEvent] | None = None) -> "Hours":
        """Judge by other limits or other news from now on."""
        return Hours(limits, self.news if news is None else news)

    def view(self, instrument: str, now_ns: int) -> HoursView:
        """Say what holds for an instrument now."""
        known = self._known.get(instrument)
        if known is not None and known.since_ns <= now_ns < known.until_ns:
            return known
        answers = {
            "window": _window(self._limits, instrument, now_ns),
            "weekend": _weekend(self._limits.weekend_cutoff_min, now_ns),
            "rollover": _rollover(self._limits.rollover_blackout_min, now_ns),
            "news": _news(self._limits, self.news, instrument, now_ns),
        }
        until_ns = min(answer.until_ns for answer in answers.values())
        known = self._known[instrument] = HoursView(since_ns=now_ns, until_ns=until_ns, **answers)
        return known


def taken_out(
    before: Sequence[NewsEvent], after: Sequence[NewsEvent], limits: RiskLimits, now_ns: int, until_ns: int
) -> tuple[str, ...]:
    """Name the events of a calendar that may still keep entries out until a moment, and that another one lacks."""
    kept = {(event.ts_ns, event.currency) for event in after}
    before_ns, after_ns = limits.news_before_min * MINUTE_NS, limits.news_after_min * MINUTE_NS
    return tuple(
        _name(event)
        for event in before
        if event.ts_ns + after_ns >= now_ns
        and event.ts_ns - before_ns < until_ns
        and (event.ts_ns, event.currency) not in kept
    )


def _name(event: NewsEvent) -> str:
    return f"{event.title} ({event.currency}) {iso_utc(event.ts_ns)}"


def _window(limits: RiskLimits, instrument: str, now_ns: int) -> Answer:
    windows = Windows.parse(of_key(limits.trading_windows, instrument))
    is_open, until_ns = windows.judge(now_ns)
    value = "open" if is_open else f"closed until {iso_utc(until_ns)}"
    return Answer(passed=is_open, value=value, limit=windows.text, until_ns=until_ns)


def _weekend(cutoff_min: int, now_ns: int) -> Answer:
    """The week runs from Sunday to Friday 17:00 New York; the last minutes of it are not for entries."""
    limit = f"{cutoff_min} min before Friday 17:00 New York" if cutoff_min else "off"
    opens_ns, closes_ns = _week(now_ns)
    last_ns = closes_ns - cutoff_min * MINUTE_NS
    if not cutoff_min or opens_ns <= now_ns < last_ns:
        until_ns = last_ns if cutoff_min else closes_ns
        value = f"the week ends {iso_utc(closes_ns)}"
        return Answer(passed=True, value=value, limit=limit, until_ns=max(until_ns, now_ns + 1))
    again_ns = opens_ns if now_ns < opens_ns else _week(closes_ns)[0]
    return Answer(passed=False, value=f"the next week begins {iso_utc(again_ns)}", limit=limit, until_ns=again_ns)


def _week(now_ns: int) -> tuple[int, int]:
    """Begin and end of the trading week that runs now, or of the next one while none does."""
    day = day_of(now_ns)  # the trading day that began on this date at 17:00
    sunday = day - timedelta(days=(day.weekday() + 1) % _WEEK)
    if day.weekday() in (_FRIDAY, _FRIDAY + 1):
        sunday += timedelta(days=_WEEK)
    return day_start_ns(sunday), day_start_ns(sunday + timedelta(days=5))


def _rollover(blackout_min: int, now_ns: int) -> Answer:
    limit = f"{blackout_min} min around 17:00 New York" if blackout_min else "off"
    next_ns = next_rollover_ns(now_ns)
    if not blackout_min:
        return Answer(passed=True, value="not looked at", limit=limit, until_ns=next_ns)
    last_ns = day_start_ns(day_of(now_ns))
    free_ns, busy_ns = last_ns + blackout_min * MINUTE_NS, next_ns - blackout_min * MINUTE_NS
    if now_ns < free_ns:
        return Answer(passed=False, value=f"rolled over {iso_utc(last_ns)}", limit=limit, until_ns=free_ns)
    if now_ns >= busy_ns:
        return Answer(passed=False, value=f"rolls over {iso_utc(next_ns)}", limit=limit, until_ns=next_ns)
    return Answer(passed=True, value=f"rolls over {iso_utc(next_ns)}", limit=limit, until_ns=busy_ns)


def _news(limits: RiskLimits, news: Sequence[NewsEvent], instrument: str, now_ns: int) -> Answer:
    before_ns, after_ns = limits.news_before_min * MINUTE_NS, limits.news_after_min * MINUTE_NS
    limit = f"{limits.news_before_min} min before to {limits.news_after_min} min after"
    moved_by = (*instrument.split("_"), _EVERY)
    until_ns = now_ns + 24 * 60 * MINUTE_NS
    for event in news:
        if event.currency not in moved_by or event.ts_ns + after_ns < now_ns:
            continue
        if event.ts_ns - before_ns > now_ns:
            until_ns = min(until_ns, event.ts_ns - before_ns)
            break
        return Answer(passed=False, value=_name(event), limit=limit, until_ns=event.ts_ns + after_ns + 1)
    return Answer(passed=True, value="none near" if news else "no calendar", limit=limit, until_ns=until_ns)
