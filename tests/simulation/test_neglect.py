"""The checker of neglect by hand: a bare trade, a comparison and a flatten that nobody attends to."""

import pytest

from engine.domain.event import Claim
from engine.domain.market import NS_PER_S
from tests.simulation.books import OpenTrade
from tests.simulation.checker import Checker
from tests.simulation.judging import Violation
from tests.simulation.neglect import COMPARED_S_MAX, FLATTEN_S_MAX, NAKED_S_MAX, Neglect
from tests.simulation.venue import BALANCE, Venue

STEP_S = 5


def with_trade() -> Checker:
    checker = Checker(Venue(0))
    checker.books.trades["7"] = OpenTrade("7", "EUR_USD", BALANCE, BALANCE, None)
    checker.books.opened_by["7"], checker.claims["7"] = None, Claim.ADOPT
    return checker


def live(neglect: Neglect, seconds: int, *, well: bool = True, stopped: bool = False, uncompared_s: int = 0) -> None:
    for _ in range(seconds // STEP_S):
        neglect.look(alive=True, able=well, well=well, stopped=stopped, uncompared_ns=uncompared_s * NS_PER_S)


def test_a_bare_trade_may_wait_while_something_is_in_the_way() -> None:
    neglect = Neglect(with_trade())
    live(neglect, NAKED_S_MAX)
    live(neglect, STEP_S, well=False)
    live(neglect, NAKED_S_MAX)
    with pytest.raises(Violation, match="stop-loss"):
        live(neglect, STEP_S)


def test_nobody_can_do_anything_for_a_trade_that_takes_no_stop_while_all_is_halted() -> None:
    checker = with_trade()
    assert checker.venue.refuses_stop("7", lambda: 2)
    live(Neglect(checker), 2 * NAKED_S_MAX, stopped=True)


def test_books_that_are_not_compared_are_found() -> None:
    neglect = Neglect(Checker(Venue(0)))
    live(neglect, COMPARED_S_MAX, uncompared_s=COMPARED_S_MAX)
    with pytest.raises(Violation, match="not compared"):
        live(neglect, STEP_S, uncompared_s=COMPARED_S_MAX + 1)


def test_a_flatten_is_tried_until_nothing_is_held() -> None:
    checker = with_trade()
    checker.claims.clear()
    neglect, checker.flattening = Neglect(checker), True
    live(neglect, FLATTEN_S_MAX)
    checker.flattened += 1
    live(neglect, FLATTEN_S_MAX + STEP_S)
    with pytest.raises(Violation, match="nothing was tried"):
        live(neglect, STEP_S)
    checker.books.trades.clear()
    live(neglect, STEP_S)
    assert not checker.flattening
