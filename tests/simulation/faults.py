"""I am mishap: which faults a seed has, how often they happen, and where the process dies.
I may import the standard library.
I must not know what a fault does; whoever asks me carries it out.
My tests are in tests/simulation/test_faults.py.
"""

import random
from collections import Counter
from collections.abc import Collection

SHARE_ENABLED = 0.65
SHARES = (0.15, 0.4, 1.0)

# The highest rate at which a kind happens, per question; each seed draws whether it has the kind, and how much of this.
RATES: dict[str, float] = {
    "submit_not_sent": 0.2,
    "submit_lost_order": 0.2,
    "submit_lost_answer": 0.3,
    "submit_late": 0.2,
    "submit_too_late": 0.15,
    "submit_5xx": 0.2,
    "submit_rejected": 0.2,
    "submit_bounds": 0.2,
    "submit_illiquid": 0.2,
    "submit_halted": 0.2,
    "submit_partly": 0.35,
    "log_unreadable": 0.06,
    "log_unreadable_behind": 0.6,
    "log_unreadable_afresh": 0.15,
    "log_lags": 0.04,
    "log_lazy": 0.2,
    "log_cut_short": 0.3,
    "log_repeated": 0.1,
    "log_hole": 0.1,
    "account_unreadable": 0.2,
    "holdings_unreadable": 0.3,
    "holdings_stale": 0.3,
    "holdings_differ": 0.15,
    "protect_not_sent": 0.6,
    "protect_lost": 0.6,
    "protect_lost_answer": 0.5,
    "protect_refused": 0.4,
    "close_lost": 0.6,
    "close_lost_answer": 0.8,
    "quote_outage": 0.03,
    "quote_missing": 0.05,
    "quote_not_yet": 0.4,
    "quote_lost": 0.7,
    "quote_frozen": 0.01,
    "quote_older": 0.1,
    "quote_crossed": 0.1,
    "quote_zero": 0.1,
    "quote_spike": 0.003,
    "quote_untradeable": 0.05,
    "quote_future": 0.05,
    "quote_far_future": 0.01,
    "quote_wide": 0.04,
    "bar_missing": 0.05,
    "bar_late": 0.05,
    "bar_repeated": 0.1,
    "bar_out_of_order": 0.1,
    "history_short": 0.3,
    "history_unreadable": 0.2,
    "history_lags": 0.4,
    "manual_trade": 0.02,
    "trade_before": 0.6,
    "manual_close": 0.05,
    "stop_cancelled": 0.12,
    "funds_moved": 0.05,
    "financing": 0.6,
    "margin_closeout": 0.006,
    "another_keel": 0.002,
    "model_fault": 0.05,
    "model_nonsense": 0.05,
    "clock_ahead": 0.01,
    "clock_behind": 0.01,
    "clock_late": 0.15,
    "asleep": 0.004,
    "asleep_in_doubt": 0.04,
    "commit_fails_once": 0.005,
    "commit_fails": 0.003,
    "kill_file": 0.006,
    "command_repeated": 0.3,
    "command_halts_behind": 0.05,
    "page_old": 0.3,
    "wish_fixed": 0.8,
    "wish_in_need": 0.3,
    "reason_empty": 0.3,
    "news_replaced": 0.03,
    "news_left_out": 0.3,
    "crash": 0.02,
    "crash_in_doubt": 0.03,
    "crash_rare": 1.0,
    "crash_at_start": 0.5,
}
ARMING = frozenset(("crash_rare", "crash_at_start", "crash_in_doubt"))
KINDS = tuple(kind for kind in RATES if kind not in ARMING)

_PORTS = (
    "clock.now",
    "broker.account",
    "broker.opening",
    "broker.submit",
    "broker.holdings",
    "broker.protect",
    "broker.close_trade",
    "broker.transactions_since",
    "market.start",
    "market.watch",
    "market.poll",
    "market.history",
    "market.next_due",
    "model.predict",
    "kill.engaged",
    "journal.append",
    "journal.commit",
    "store.past",
    "store.order_ids",
    "store.curfew",
    "store.begin_run",
    "store.rows",
    "store.COMMIT",
)
POINTS = tuple(f"{port}.{side}" for port in _PORTS for side in ("before", "after"))
_STARTING = ("broker.opening", "broker.account", "market.start", "store.past", "store.order_ids", "store.curfew",
    "store.begin_run",
)  # fmt: skip
_SELDOM = ("broker.protect", "broker.close_trade", "market.watch")


def _sides(ports: Collection[str]) -> tuple[str, ...]:
    return tuple(f"{port}.{side}" for port in ports for side in ("before", "after"))


POINTS_STARTING = (
    *_sides(_STARTING),
    *_sides(("broker.holdings", "broker.transactions_since", "journal.append", "journal.commit", "store.rows")),
    *_sides(("store.COMMIT", "market.history")),
)
POINTS_SELDOM = _sides(_SELDOM)
POINTS_RUNNING = tuple(each for each in POINTS if each not in {*_sides(_STARTING), *POINTS_SELDOM})


class Crash(BaseException):
    """The process dies here; nothing in it may catch this."""


class Faults:
    """The faults of one seed. With `kept`, only the faults named in it happen: the rest of the seed stays the same."""

    def __init__(self, seed: int, kept: Collection[str] | None = None) -> None:
        self._seed = seed
        self._kept = None if kept is None else frozenset(kept)
        self.hits: Counter[str] = Counter()
        self.injected: list[str] = []
        self.off = False
        self._draws: Counter[str] = Counter()
        self._rates: dict[str, float] = {}
        for kind, highest in RATES.items():
            swarm = random.Random(f"{seed}/swarm/{kind}")  # a kind that is added later leaves the others as they are
            share = swarm.choice(SHARES)
            if swarm.random() < SHARE_ENABLED or kind in ARMING:
                self._rates[kind] = highest * share
        self._lots = {kind: random.Random(f"{seed}/{kind}") for kind in self._rates}

    def hit(self, kind: str) -> bool:
        """Say whether this fault happens now, and count it."""
        if self.off or kind not in self._rates:
            return False
        self._draws[kind] += 1
        if self._lots[kind].random() >= self._rates[kind]:
            return False
        name = f"{kind}#{self._draws[kind]}"
        if self._kept is not None and name not in self._kept:
            return False
        self.injected.append(name)
        if kind not in ARMING:
            self.hits[kind] += 1
        return True

    def how(self, kind: str) -> random.Random:
        """Lots for the details of the fault of this kind that has just happened; they hang on nothing else."""
        return random.Random(f"{self._seed}/{kind}/{self._draws[kind]}")


class CrashPoints:
    """Where the process may die; a point that is armed kills it the n-th time that it is passed."""

    def __init__(self) -> None:
        self._armed: dict[str, int] = {}
        self.fired: Counter[str] = Counter()

    def arm(self, point: str, passes: int = 1) -> None:
        """Let the process die at this point."""
        self._armed.setdefault(point, passes)

    def disarm(self) -> None:
        """Let nothing die any more."""
        self._armed.clear()

    def at(self, point: str) -> None:
        """Pass a point; raises Crash when it is this one's turn."""
        if point not in self._armed:
            return
        self._armed[point] -= 1
        if self._armed[point] <= 0:
            del self._armed[point]
            self.fired[point] += 1
            raise Crash(point)
