"""A secret shows itself nowhere but through reveal()."""

import io
import logging
import traceback

import pytest

from engine.redaction import MASK, RedactionFilter, Secret

CANARY = "canary-7f3a-0042"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__, lambda secret: f"{secret:}"])
def test_secret_prints_as_stars(show: object) -> None:
    assert show(Secret(CANARY)) == MASK  # type: ignore[operator]


def test_secret_stays_hidden_inside_other_values() -> None:
    assert CANARY not in repr({"key": [Secret(CANARY)]})


def test_secret_reveals_itself_on_request_only() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert not hasattr(Secret(CANARY), "__dict__")


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def logged(message: str, *args: object, secrets: tuple[Secret, ...] = (Secret(CANARY),), **extra: object) -> str:
    """Send one record through a real logger and handler, and return what came out."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter(secrets))
    logger = logging.Logger("engine.test")
    logger.addHandler(handler)
    logger.info(message, *args, **extra)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (f"key {CANARY}", ()),
        ("key %s", (CANARY,)),
        ("keys %s", ([CANARY, {"a": CANARY}],)),
        ("key %(key)s", ({"key": CANARY},)),
        (f"url?token={CANARY}&x=1 and again {CANARY}", ()),
    ],
)
def test_known_secret_is_masked_in_messages_and_arguments(message: str, args: tuple[object, ...]) -> None:
    text = logged(message, *args)
    assert CANARY not in text
    assert MASK in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-123",
        "authorization=bearer abc.def-123",
        "{'Authorization': 'Bearer abc.def-123'}",
        'BEARER abc.def-123"',
        "two: Bearer abc.def-123, Bearer abc.def-123",
    ],
)
def test_bearer_token_is_masked_although_nobody_registered_it(text: str) -> None:
    assert "abc.def-123" not in logged("%s", text, secrets=())


def test_ordinary_text_passes_unchanged() -> None:
    assert logged("order %s filled at %s", "1-EUR_USD-60-1", "1.10000") == "order 1-EUR_USD-60-1 filled at 1.10000\n"


def test_empty_secret_masks_nothing() -> None:
    assert logged("plain", secrets=(Secret(""),)) == "plain\n"


def test_exception_text_is_masked() -> None:
    try:
        raise ValueError(f"wrong key {CANARY}")
    except ValueError:
        assert CANARY in traceback.format_exc()
        text = logged("failed", exc_info=True)
    assert "ValueError" in text
    assert CANARY not in text


def test_record_keeps_nothing_of_the_secret_for_another_handler() -> None:
    record = logging.LogRecord("engine", logging.INFO, __file__, 1, "key %s", (CANARY,), None)
    assert RedactionFilter((Secret(CANARY),)).filter(record) is True
    assert CANARY not in repr(record.__dict__)


@pytest.mark.parametrize("breaks", ["\n", "\r", "\r\n"])
def test_message_cannot_forge_a_second_line(breaks: str) -> None:
    text = logged("user said %s", f"hello{breaks}2026-01-01 ERROR forged")
    assert text.count("\n") == 1
    assert "\r" not in text


def test_authorization_of_another_scheme_is_masked() -> None:
    assert "dXNlcjpwYXNz" not in logged("Authorization: Basic dXNlcjpwYXNz", secrets=())
