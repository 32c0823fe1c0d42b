"""I am what OANDA answered, and what that means for a read.
I may import nothing of the engine.
I must not judge what a status means for an order that was sent: only the transactions tell.
My tests are in tests/unit/adapters/oanda/test_answers.py.
"""

from enum import StrEnum

import msgspec

KEY_REFUSED = (401, 403)
_TEXT_MAX = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, whatever its status; the token is masked in it. request_id is what OANDA's support asks for.

    date is when the server says that it answered (RFC 9110), empty when it does not.
    """

    status: int
    body: bytes
    request_id: str = ""
    date: str = ""

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, body=<{len(self.body)} bytes>, request_id={self.request_id!r})"


class Verdict(StrEnum):
    """What a read should do with its answer."""

    OK = "ok"
    RETRY_LATER = "retry_later"
    KEY_REFUSED = "key_refused"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    RESYNC = "resync"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict with one sentence for people, and OANDA's own code and message where it gave them."""

    verdict: Verdict
    reason: str = ""
    error_code: str = ""
    error_message: str = ""


class _Complaint(msgspec.Struct):
    error_message: str = msgspec.field(name="errorMessage", default="")
    error_code: str = msgspec.field(name="errorCode", default="")


_STATUS = {
    400: (Verdict.BAD_REQUEST, "OANDA refused the request as malformed"),
    401: (Verdict.KEY_REFUSED, "the key or the account is wrong"),
    403: (Verdict.KEY_REFUSED, "the key or the account is wrong"),
    404: (Verdict.NOT_FOUND, "OANDA knows no such thing"),
    405: (Verdict.BAD_REQUEST, "OANDA does not know this method"),
    416: (Verdict.RESYNC, "OANDA does not have the range that was asked for"),
    429: (Verdict.RETRY_LATER, "OANDA received too many requests"),
}


def judge(answer: Answer) -> Judgement:
    """Say what an answer means for a read.

    A 2xx whose body is no JSON object comes from something between us and OANDA, hence RETRY_LATER like 429 and 5xx.
    """
    if 200 <= answer.status < 300:
        if _is_object(answer.body):
            return Judgement(verdict=Verdict.OK)
        return Judgement(verdict=Verdict.RETRY_LATER, reason=f"HTTP {answer.status}: the answer is not JSON.")
    verdict, meaning = _STATUS.get(answer.status) or _other(answer.status)
    complaint = _complaint(answer.body)
    said = f", saying {complaint.error_message!r}" if complaint.error_message else ""
    return Judgement(
        verdict=verdict,
        reason=f"HTTP {answer.status}: {meaning}{said}.",
        error_code=complaint.error_code,
        error_message=complaint.error_message,
    )


def _other(status: int) -> tuple[Verdict, str]:
    if 400 <= status < 500:
        return Verdict.BAD_REQUEST, "OANDA refused the request"
    if status >= 500:
        return Verdict.RETRY_LATER, "OANDA is not able to answer now"
    return Verdict.RETRY_LATER, "this is not an answer of OANDA"


def _is_object(body: bytes) -> bool:
    try:
        raw = msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return bytes(raw).lstrip().startswith(b"{")


def _complaint(body: bytes) -> _Complaint:
    """Read OANDA's own words from a refusal; empty when it is HTML, or not of that form."""
    try:
        said = msgspec.json.decode(body, type=_Complaint)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Complaint()
    return _Complaint(error_message=said.error_message[:_TEXT_MAX], error_code=said.error_code[:_TEXT_MAX])
