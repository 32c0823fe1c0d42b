"""I am the verdict: how a checker says that a promise was broken.
I may import the standard library.
I must not be caught by the engine.
My tests are in tests/simulation/test_promises.py.
"""


class Violation(BaseException):
    """A promise was broken; not an Exception, so that the engine cannot catch it."""


def fail(invariant: str, text: str) -> None:
    """Break off with the number of the promise in RELIABILITY.md section 2, or with its name."""
    raise Violation(f"{invariant}: {text}")


def demand(holds: bool, invariant: str, text: str) -> None:
    """Break off unless this holds."""
    if not holds:
        fail(invariant, text)
