"""One venue for the tests of a module; each test finds it without orders, trades and prices set by hand."""

from collections.abc import Iterator

import pytest

from tests.unit.venue.house import House, running


@pytest.fixture(scope="module")
def module_house() -> Iterator[House]:
    with running() as made:
        yield made


@pytest.fixture
def house(module_house: House) -> House:
    module_house.flatten()
    return module_house
