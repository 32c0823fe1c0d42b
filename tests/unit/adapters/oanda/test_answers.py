"""What an answer means for a read: use it, ask again later, or give up and say why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.oanda.answers import Answer, Judgement, Verdict, judge


def judged(status: int, body: bytes) -> Judgement:
    return judge(Answer(status=status, body=body))


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("body", [b"{}", b'{"a": [1, {"b": null}]}', b' \r\n\t{"a": "\xc3\xa9"}\n'])
def test_json_object_is_fine(status: int, body: bytes) -> None:
    assert judged(status, body) == Judgement(verdict=Verdict.OK)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"OK",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": 1',
        b'{"a": NaN}',
        b"{} {}",
        b"\x1f\x8b\x08",
    ],
)
def test_success_that_is_no_json_object_is_not_from_oanda(body: bytes) -> None:
    judgement = judged(200, body)
    assert judgement.verdict is Verdict.RETRY_LATER
    assert judgement.reason == "HTTP 200: the answer is not JSON."


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (302, Verdict.RETRY_LATER),
        (400, Verdict.BAD_REQUEST),
        (401, Verdict.KEY_REFUSED),
        (403, Verdict.KEY_REFUSED),
        (404, Verdict.NOT_FOUND),
        (405, Verdict.BAD_REQUEST),
        (416, Verdict.RESYNC),
        (418, Verdict.BAD_REQUEST),
        (429, Verdict.RETRY_LATER),
        (500, Verdict.RETRY_LATER),
        (502, Verdict.RETRY_LATER),
        (503, Verdict.RETRY_LATER),
        (504, Verdict.RETRY_LATER),
        (599, Verdict.RETRY_LATER),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"errorMessage": "a", "errorCode": "B"}', b"\xff\xfe"])
def test_status_decides_whatever_the_body(status: int, verdict: Verdict, body: bytes) -> None:
    judgement = judged(status, body)
    assert judgement.verdict is verdict
    assert judgement.reason.startswith(f"HTTP {status}: ")


def test_words_of_oanda_are_kept() -> None:
    body = b'{"errorMessage": "The order ID specified does not exist", "errorCode": "NO_SUCH_ORDER", "more": 1}'
    assert judged(404, body) == Judgement(
        verdict=Verdict.NOT_FOUND,
        reason="HTTP 404: OANDA knows no such thing, saying 'The order ID specified does not exist'.",
        error_code="NO_SUCH_ORDER",
        error_message="The order ID specified does not exist",
    )


def test_refused_key_is_named_in_one_sentence() -> None:
    body = b'{"errorMessage": "Insufficient authorization to perform request."}'
    assert judged(401, body).reason == (
        "HTTP 401: the key or the account is wrong, saying 'Insufficient authorization to perform request.'."
    )


@pytest.mark.parametrize(
    "body", [b'{"errorMessage": 5}', b'{"errorMessage": null}', b"[1]", b'{"errorMessage": "\xff"}']
)
def test_complaint_of_another_form_is_left_out(body: bytes) -> None:
    judgement = judged(400, body)
    assert (judgement.verdict, judgement.error_message, judgement.error_code) == (Verdict.BAD_REQUEST, "", "")


def test_long_complaint_is_shortened_and_cannot_forge_a_line() -> None:
    judgement = judged(500, b'{"errorMessage": "one\\ntwo' + b"x" * 10_000 + b'"}')
    assert len(judgement.reason) < 300
    assert "\n" not in judgement.reason


@given(status=st.integers(100, 599), body=st.binary(max_size=60))
def test_every_answer_has_a_verdict(status: int, body: bytes) -> None:
    judgement = judged(status, body)
    assert (judgement.verdict is Verdict.OK) == (judgement.reason == "")
    if judgement.verdict is Verdict.OK:
        assert 200 <= status < 300
        assert body.strip().startswith(b"{")


def test_answer_does_not_show_its_body() -> None:
    assert (
        repr(Answer(status=200, body=b"balance", request_id="7"))
        == "Answer(status=200, body=<7 bytes>, request_id='7')"
    )
