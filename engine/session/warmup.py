"""I am the cold start: I fill every instrument's look-back buffer before anything is traded.
I may import the domain, ports and the desk.
I must not let a session trade with a short buffer, nor give up before the timeout.
My tests are in tests/unit/session/test_warmup.py.
"""

from engine.domain.error import RetryLater
from engine.domain.market import NS_PER_S
from engine.ports import MarketData
from engine.session.desk import Desk
from engine.snapshot import WarmupRow


class WarmUp:
    """Fetches history until each buffer holds what the model looks at, or the time is up."""

    def __init__(self, desk: Desk, market_data: MarketData, deadline_ns: int) -> None:
        self._desk = desk
        self._market_data = market_data
        self._deadline_ns: int | None = deadline_ns
        self._reasons: dict[str, str] = dict.fromkeys(desk.instruments, "waiting for history")
        self._afresh: set[str] = set()

    def begin_anew(self) -> None:
        """Empty every buffer, to fill it from history. There was enough once, so that it is waited for without end."""
        for name in tuple(self._desk.windows):
            self._desk.forget(name)
        self._deadline_ns = None
        self._afresh = set(self._desk.windows)
        self._reasons = dict.fromkeys(self._desk.instruments, "waiting for history")

    def advance(self) -> bool:
        """Try each missing instrument once; True when all are ready."""
        for name, window in tuple(self._desk.windows.items()):
            if not window.full or name in self._afresh:
                self._fill(name)
        return not self._afresh and all(window.full for window in self._desk.windows.values())

    @property
    def expired(self) -> bool:
        """Say whether the timeout has passed."""
        return self._deadline_ns is not None and self._desk.now_ns >= self._deadline_ns

    def rows(self) -> tuple[WarmupRow, ...]:
        """Have, need, age and reason for each instrument."""
        return tuple(self._row(name) for name in self._desk.windows)

    def missing(self) -> str:
        """Name what is not ready, in words."""
        late = [row for row in self.rows() if not row.ready]
        return "; ".join(f"{row.instrument} has {row.have} of {row.need} bars ({row.reason})" for row in late)

    def _row(self, name: str) -> WarmupRow:
        window = self._desk.windows[name]
        newest_ns = window.close_ts_ns[-1] if window.close_ts_ns else None
        age_s = (self._desk.now_ns - newest_ns) / NS_PER_S if newest_ns is not None else None
        return WarmupRow(
            instrument=name,
            have=len(window),
            need=window.capacity,
            age_s=age_s,
            reason="" if window.full else self._reasons[name],
        )

    def _fill(self, name: str) -> None:
        window = self._desk.windows[name]
        try:
            history = self._market_data.history(name, max(window.capacity, self._desk.bars[name].maxlen or 0))
        except RetryLater as error:
            self._reasons[name] = str(error)
            return
        if history and (len(history) > len(window) or name in self._afresh):
            # a history may lag behind what was given already, and that is not given again
            newer = [bar for bar in self._desk.bars[name] if bar.close_ts_ns > history[-1].close_ts_ns]
            self._desk.forget(name)
            for bar in (*history, *newer):
                self._desk.remember(bar)
            window = self._desk.windows[name]
        if window.full:
            self._afresh.discard(name)
        self._reasons[name] = "" if window.full else "not enough history yet"
