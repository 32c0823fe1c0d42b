"""Worlds in which one limit is breached at a time, ended when the test is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.session.breach import Make, World


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make worlds of the wanted kind."""
    worlds: list[World] = []

    def made(**wanted: Any) -> World:
        worlds.append(World(tmp_path, monkeypatch, **wanted))
        return worlds[-1]

    yield made
    for world in worlds:
        world.end()
