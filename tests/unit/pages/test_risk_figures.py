"""What stopped entries and what a currency adds up to: which bars are drawn, and how long they are."""

from decimal import Decimal

from engine.snapshot import LegView
from engine.store.queries import Blocked
from pages.parts import risk_figures


def test_gates_are_stacked_by_whether_they_failed_first_the_most_frequent_on_top() -> None:
    found = Blocked(
        decisions=9, entries=5, first={"spread": 4, "news": 1}, failed={"spread": 4, "news": 3, "margin": 1}
    )
    first, rest = risk_figures.blocked(found).data
    assert list(first.y) == ["margin", "news", "spread"]
    assert list(first.x) == [0, 1, 4]
    assert list(rest.x) == [1, 2, 0]
    assert list(rest.text) == ["1", "3", "4"]


def test_only_the_most_frequent_gates_are_drawn() -> None:
    many = {f"gate_{number}": number for number in range(1, 40)}
    figure = risk_figures.blocked(Blocked(decisions=1, entries=1, first=many, failed=many))
    assert len(figure.data[0].y) == risk_figures.GATES_MAX
    assert figure.data[0].y[-1] == "gate 39"


def leg(low: str, high: str) -> LegView:
    return LegView(currency="EUR", low_home=Decimal(low), high_home=Decimal(high), cap_home=Decimal(500))


def test_what_is_certain_of_a_leg_is_the_end_nearer_to_nothing() -> None:
    legs = [leg("10", "30"), leg("-30", "-10"), leg("-5", "5"), leg("7", "7")]
    held, possible, cap = risk_figures.legs(legs, "USD").data
    assert list(held.x) == [7, 0, -10, 10]  # the first leg is drawn on top, which is last
    assert list(possible.x) == [0, 10, 20, 20]
    assert len(cap.x) == 8
    assert risk_figures.leg_text(leg("7", "7"), "USD") == "EUR ▲ long +7.00 USD, cap 500.00"
    assert risk_figures.leg_text(leg("-30", "10"), "USD") == "EUR ▼ short -30.00 .. +10.00 USD, cap 500.00"
