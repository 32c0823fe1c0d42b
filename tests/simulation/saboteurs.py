"""I am sabotage: bugs of one line each, planted on purpose, to prove that the checkers bite.
I may import the other parts of this folder.
I must not outlive the run that I was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.simulation import bugs_of_orders, bugs_of_risk, bugs_of_strangers
from tests.simulation.sabotage import SABOTEURS

__all__ = ["SABOTEURS", "bugs_of_orders", "bugs_of_risk", "bugs_of_strangers", "planted"]


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with this bug in the engine; None plants nothing. Raises KeyError for an unknown name."""
    with ExitStack() as stack:
        if name is not None:
            SABOTEURS[name](stack)
        yield
