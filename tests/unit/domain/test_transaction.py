"""A hole in the broker's log is named, so that a person can look for it."""

import pytest

from engine.domain.transaction import hole_text


@pytest.mark.parametrize(
    ("last_id", "next_id", "said"),
    [
        (5, 7, "The broker's log has a hole: transaction 6 is missing, 7 follows 5."),
        (5, 9, "The broker's log has a hole: transactions 6 to 8 are missing, 9 follows 5."),
    ],
)
def test_what_is_missing_is_named(last_id: int, next_id: int, said: str) -> None:
    assert hole_text(last_id, next_id) == said
