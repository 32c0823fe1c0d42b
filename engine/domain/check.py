"""I am one check before a start: what was looked at, what was found, and what it should be.
I may import msgspec.
I must not look at anything myself, nor hold a secret: a check is journalled and shown.
My tests are in tests/unit/test_preflight.py.
"""

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check; `found` and `wanted` are words for people, `blocks` says whether a red one stands in the way."""

    name: str
    ok: bool
    found: str
    wanted: str
    blocks: bool = True

    @property
    def sentence(self) -> str:
        """Say what a red check is about."""
        return f"Preflight check {self.name} failed: {self.found.rstrip('.')}; wanted: {self.wanted.rstrip('.')}."


def obstacle(checks: tuple[Check, ...]) -> str | None:
    """Say in one sentence what stands in the way first; None when nothing does."""
    return next((check.sentence for check in checks if check.blocks and not check.ok), None)
