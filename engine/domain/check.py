"""I am one check before a start: what was looked at, what was found, and what it should be.
I may import msgspec and error.
I must not look at anything myself, nor hold a secret: a check is journalled and shown.
My tests are in tests/unit/test_preflight.py.
"""

import msgspec

from engine.domain.error import ConfigError


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check; `found` and `wanted` are words for people, `blocks` says whether a red one refuses the start."""

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


class ChecksFailed(ConfigError):
    """A start is refused by its checks; they are all with it, the green ones too."""

    def __init__(self, sentence: str, checks: tuple[Check, ...]) -> None:
        super().__init__(sentence)
        self.checks = checks
