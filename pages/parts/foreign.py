"""I am the block of trades and orders that are not Keel's: what they are, what they stop, the operator's choice.
I may import streamlit, the domain, snapshot, node, confirm, unlock, positions and formats.
I must not choose for the operator, nor close anything that was not asked back.
My tests are in tests/ui/test_foreign.py.
"""

from collections.abc import Sequence

import streamlit as st

from engine.domain.account import Trade, WorkingOrder
from engine.domain.command import ClaimTrade
from engine.domain.event import Claim
from engine.node import TradingNode
from engine.snapshot import ForeignTrade, Snapshot
from pages.parts import account, confirm, formats, positions, unlock

CLOSE = "close"
_CLAIMS = {None: ("orange", "not decided"), "adopt": ("green", "adopted"), "ignore": ("gray", "left alone")}
_EFFECTS = (
    "**Adopt**: Keel manages it like a trade of its own. It gets a stop-loss if it has none, signals may close it, and "
    "its instrument is traded again.  \n"
    "**Leave alone**: it stays as it is, with the stop that it has. Nothing is traded in its instrument while it is "
    "open.  \n"
    "**Close**: it is closed at the market, after one more question. Its instrument is then traded again."
)

_WAITING = (
    "Keel counts a waiting order as if it were filled, in every limit of size: it may be at any moment. The trade that "
    "it opens is then not Keel's. Cancel it in OANDA's app, or with `python -m engine flatten`, which also closes "
    "everything that is open."
)


def draw(node: TradingNode, snapshot: Snapshot) -> None:
    """Draw what others opened, and what others' orders could open; nothing when there is neither."""
    if snapshot.foreign_orders:
        _waiting(snapshot)
    if not snapshot.foreign_trades:
        return
    with st.container(border=True, key="overview-foreign"):
        st.markdown("**Trades that Keel did not open**")
        if snapshot.active:
            _banner(snapshot.foreign_trades)
        is_locked = unlock.locks_session(node)
        for each in snapshot.foreign_trades:
            _facts(snapshot, each)
            if snapshot.active and not is_locked:
                _choices(node, snapshot, each)
        if snapshot.active and is_locked:
            with st.container(width=360):
                unlock.field(node, "foreign")
        elif snapshot.active:
            st.caption(_EFFECTS)


def _waiting(snapshot: Snapshot) -> None:
    """Say what each waiting order could do; nothing on this page can cancel one."""
    with st.container(border=True, key="overview-foreign-orders"):
        st.markdown("**Waiting orders that Keel did not make**")
        for order in snapshot.foreign_orders:
            st.markdown(
                f"**Order {formats.escaped(order.order_id)}** &nbsp; {formats.escaped(order.kind)} &nbsp; "
                f"could open {could_open(snapshot, order)}"
            )
        st.caption(_WAITING)


def could_open(snapshot: Snapshot, order: WorkingOrder) -> str:
    """Name what an order would open if it were filled as it is."""
    name = order.instrument
    if name is None or order.units is None:
        return "something that OANDA does not name, and that cannot be counted"
    price = "" if order.price is None else f" at {formats.price(order.price, positions.price_decimals(snapshot, name))}"
    return f"{formats.units(order.units)} {formats.escaped(name)} {formats.side(order.units)}{price}"


def _banner(trades: Sequence[ForeignTrade]) -> None:
    """Say what the trades stop: a question while one is not decided, else what was chosen."""
    undecided = [each.trade for each in trades if each.claim is None]
    if undecided:
        these, them = ("this trade", "it") if len(undecided) == 1 else ("these trades", "them")
        st.warning(
            f"**Keel did not open {these}.** Nothing is traded in {_instruments(undecided)} until you adopt or close "
            f"{them}.",
            icon=":material/front_hand:",
        )
        return
    left = [each.trade for each in trades]
    these, they = ("this trade", "it is") if len(left) == 1 else ("these trades", "they are")
    st.info(f"You leave {these} alone. Nothing is traded in {_instruments(left)} while {they} open.")


def _instruments(trades: Sequence[Trade]) -> str:
    return formats.escaped(", ".join(sorted({trade.instrument for trade in trades})))


def _facts(snapshot: Snapshot, each: ForeignTrade) -> None:
    trade, decimals = each.trade, positions.price_decimals(snapshot, each.trade.instrument)
    stop = "none" if trade.stop_loss is None else formats.price(trade.stop_loss, decimals)
    colour, words = _CLAIMS[each.claim]
    st.markdown(
        f"**Trade {formats.escaped(trade.trade_id)}** &nbsp; {_size(trade)} at "
        f"{formats.price(trade.price, decimals)} &nbsp; opened {formats.utc(trade.opened_ns)} &nbsp; "
        f"{f':red[**stop {stop}**]' if trade.stop_loss is None else f'stop {stop}'} &nbsp; :{colour}-badge[{words}]"
    )


def _size(trade: Trade) -> str:
    return f"{formats.escaped(trade.instrument)} {formats.side(trade.units)} {formats.units(trade.units)} units"


def _choices(node: TradingNode, snapshot: Snapshot, each: ForeignTrade) -> None:
    trade_id = each.trade.trade_id
    with st.container(horizontal=True):
        for choice, label, icon in (
            (Claim.ADOPT, "Adopt", ":material/add_moderator:"),
            (Claim.IGNORE, "Leave alone", ":material/visibility:"),
        ):
            confirm.button(
                node, snapshot, f"claim-{choice}-{trade_id}", label,
                lambda command_id, choice=choice: _claim(command_id, trade_id, choice),  # type: ignore[misc]
                icon=icon, disabled=each.claim == choice,
            )  # fmt: skip
        _close_button(node, snapshot, trade_id)


def _claim(command_id: str, trade_id: str, choice: str) -> ClaimTrade:
    return ClaimTrade(command_id=command_id, trade_id=trade_id, choice=str(choice))


def _close_button(node: TradingNode, snapshot: Snapshot, trade_id: str) -> None:
    name = f"claim-{CLOSE}-{trade_id}"
    confirm.command_id(name, snapshot)
    waiting = confirm.is_waiting(name)
    clicked = st.button(
        "Close ..." if waiting else "Close", key=f"{name}-ask", icon=":material/close:", width="stretch",
        disabled=waiting,
    )  # fmt: skip
    if clicked:
        confirm.ask(f"Close trade {trade_id}", ":material/close:", close_body, node, trade_id)


def close_body(node: TradingNode, trade_id: str) -> None:
    """Draw what the dialog says and its two buttons."""
    snapshot = node.snapshot
    found = next((each.trade for each in snapshot.foreign_trades if each.trade.trade_id == trade_id), None)
    if found is None:
        st.markdown(f"**Trade {formats.escaped(trade_id)} is not open any more.**")
    else:
        st.markdown(f"**Close {_size(found)} at the market{account.where(snapshot)}.** Keel did not open this trade.")
    confirm.answers(
        node, f"claim-{CLOSE}-{trade_id}", f"Close trade {trade_id} now",
        lambda command_id: _claim(command_id, trade_id, CLOSE), disabled=found is None,
    )  # fmt: skip
