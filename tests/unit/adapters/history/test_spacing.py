from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

import pytest

from engine.adapters.history.fields import Header
from engine.adapters.history.spacing import measured_granularity
from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from tests.unit.adapters.history.rows import HEADER, row

PATH = Path("EUR_USD.csv")


def measured(lines: Iterable[str]) -> Granularity:
    return measured_granularity(PATH, Header(PATH, HEADER), enumerate(lines, start=2))


def spaced(*minutes: float) -> list[str]:
    """Lines that are so many minutes apart."""
    return [row(at) for at in accumulate(minutes, initial=0)]


@pytest.mark.parametrize("granularity", list(Granularity))
def test_each_granularity_is_found_from_three_bars(granularity: Granularity) -> None:
    minutes = granularity.seconds / 60
    assert measured(spaced(minutes, minutes)) is granularity


def test_holes_and_bad_lines_do_not_matter() -> None:
    lines = spaced(1, 1, 2, 1, 5, 1, 2_880, 1, 1)
    lines[4:4] = ["not a line", "2014,1,1,1,1,1,1,1,1"]
    assert measured(lines) is Granularity.M1


def test_times_that_step_back_do_not_matter() -> None:
    assert measured([*spaced(5, 5, 5), *spaced(5, 5)]) is Granularity.M5


def test_days_may_shift_by_an_hour_at_a_change_of_clocks() -> None:
    assert measured(spaced(*[1_440] * 20, 1_380, *[1_440] * 20)) is Granularity.D


def test_equally_common_spacings_take_the_shorter() -> None:
    assert measured(spaced(1, 2, 1, 2)) is Granularity.M1


def test_unknown_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has bars 3 min apart; known granularities are S5, .*, D\."):
        measured(spaced(3, 3, 3))


def test_fraction_of_a_second_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has bars 0\.5 s apart"):
        measured([row(0), row(0).replace("00Z", "00.5Z"), row(1 / 60)])


def test_mixed_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="mixes bars of different lengths: 1 h is .* only 77%"):
        measured(spaced(*[60] * 10, *[1] * 3))


@pytest.mark.parametrize("lines", [[], spaced(), spaced(1), [row(5)] * 4, [row(2), row(1), row(0)]])
def test_too_few_bars_are_refused(lines: list[str]) -> None:
    with pytest.raises(ConfigError, match="at least 3 in order of time are needed"):
        measured(lines)


def test_file_without_a_readable_time_is_told_the_first_fault() -> None:
    with pytest.raises(ConfigError, match=r"has 0 bars .* \(line 2: time ends with 'T00:00:00' and lacks its offset"):
        measured([line.replace("Z", "") for line in spaced(1, 1, 1)])
