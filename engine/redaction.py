"""I am the keeper of secrets: a type that does not show its value, a log filter that removes it, short account names.
I may import logging.
I must not be bypassed: reveal() is called by the two that send a secret, the broker's HTTP client and the messenger.
My tests are in tests/unit/test_redaction.py.
"""

import logging
import re

MASK = "***"
ACCOUNT_DIGITS = 4
_TOKEN = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:[a-z]+\s+)?|bearer\s+)[^\s'\",;]+")


def account_tail(account_id: str) -> str:
    """Name an account by its last four digits, as everything that people read does."""
    return f"…{last_digits(account_id)}"


def last_digits(account_id: str) -> str:
    """Return the last four digits of an account's id, whatever stands between them."""
    return "".join(letter for letter in account_id if letter.isdigit())[-ACCOUNT_DIGITS:]


class Secret:
    """A text that prints as ***."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class RedactionFilter(logging.Filter):
    """Replace known secrets and bearer tokens in messages, arguments and exception texts."""

    def __init__(self, secrets: tuple[Secret, ...] = ()) -> None:
        super().__init__()
        self._values = tuple(secret.reveal() for secret in secrets if secret.reveal())

    def redact(self, text: str) -> str:
        """Return the text without secrets and without line breaks that could forge a log line."""
        for value in self._values:
            text = text.replace(value, MASK)
        return _TOKEN.sub(rf"\1{MASK}", text).replace("\n", "\\n").replace("\r", "\\r")

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite one record in place; always keeps it."""
        record.msg, record.args = self.redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = "\n".join(self.redact(line) for line in record.exc_text.splitlines())
        return True
