"""I am refusals: answers that are errors, in OANDA's words and statuses.
I may import nothing of the engine.
I must not carry a token.
My tests are in tests/unit/venue: test_malformed.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Mapping
from typing import Any

UNAUTHORIZED = "Insufficient authorization to perform request."
INVALID = "oanda::rest::core::InvalidParameterException"
FORBIDDEN = "The provided request was forbidden."

MESSAGES = {
    "NO_SUCH_ORDER": "The order ID specified does not exist",
    "NO_SUCH_TRADE": "The trade ID specified does not exist",
    "NO_SUCH_TRANSACTION": "The transaction ID specified does not exist",
    "NO_SUCH_POSITION": "The position requested does not exist",
    "ORDER_DOESNT_EXIST": "The Order specified does not exist",
    "TRADE_DOESNT_EXIST": "The Trade specified does not exist",
    "UNITS_INVALID": "Order units specified are invalid",
    "CLOSEOUT_POSITION_DOESNT_EXIST": "The Position requested to be closed out does not exist",
}


class Refusal(Exception):
    """A request is answered with an error: the HTTP status, OANDA's message and, where it has one, its code."""

    def __init__(
        self, status: int, message: str, code: str | None = None, content: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        named = {"errorCode": code} if code else {}
        self.body: dict[str, Any] = {"errorMessage": message} | named | dict(content or {})


def invalid(name: str, detail: str = "") -> Refusal:
    """A value that cannot be read; nothing was done."""
    message = f"Invalid value specified for '{name}'" + (f". {detail}" if detail else "")
    return Refusal(400, message, INVALID)


def missing(name: str) -> Refusal:
    """A value that has to be there."""
    return Refusal(400, f"The request was missing required data: '{name}'", INVALID)


def not_found(code: str, last_id: int) -> Refusal:
    """There is no such thing, at this account and now."""
    return Refusal(404, MESSAGES[code], code, {"lastTransactionID": str(last_id)})
