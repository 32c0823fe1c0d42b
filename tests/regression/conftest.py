"""The venue that these tests trade at: one for all, flat and at the beginning of five minutes, or a fresh one."""

from collections.abc import Iterator

import pytest

from tests.unit.adapters.oanda.stand import Stand, standing


@pytest.fixture(scope="session")
def house() -> Iterator[Stand]:
    with standing(seed=7) as made:
        yield made


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    """The venue with nothing open, behind a line of its own; prices are not set by hand here."""
    for name, units in house.units().items():
        house.order(int(-units), name)
    house.begin_anew()
    with house.new_line():
        yield house


@pytest.fixture
def new_stand() -> Iterator[Stand]:
    """A venue for this test alone, whose prices may be set by hand."""
    with standing(seed=7) as made:
        yield made
