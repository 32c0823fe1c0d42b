"""I am what may go wrong, sorted by what the session does about it.
I may import nothing.
I must not format secrets or paths that a trader did not name himself.
My tests are in tests/unit/domain.

KeelError
├── ConfigError      refuse to start: the operator must change something; the text is one clear sentence
├── RetryLater       keep running: try the same read again at a later step
├── HaltTrading      stop sending orders: state is uncertain until a person has looked
└── Bug              fail fast: a rule of our own was broken (illegal transition, unbalanced books)
"""


class KeelError(Exception):
    """Root of every error that Keel raises on purpose."""


class ConfigError(KeelError):
    """Refuse to start; the message names the value and what is allowed."""


class RetryLater(KeelError):
    """A read failed for a reason that passes by itself."""


class HaltTrading(KeelError):
    """Continuing to trade would be unsafe; the session halts and says why."""


class Bug(KeelError):
    """Our own rule was broken; nothing after this point can be trusted."""
