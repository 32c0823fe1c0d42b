"""The unlock code: made of what was drawn, kind to how it is typed, closed after five wrong tries."""

import random
import secrets

from engine.unlock import ALPHABET, LENGTH, TRIES_MAX, WAIT_S, UnlockCode

WRONG = "This is not the code that stands on the terminal where the console was started."
CLOSED = "5 wrong codes were typed; wait 30 s and try again."


class Seconds:
    """A clock by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def code_and_time() -> tuple[UnlockCode, Seconds]:
    time = Seconds()
    return UnlockCode(random.Random(7).choice, time), time


def test_two_processes_have_two_codes() -> None:
    codes = {UnlockCode(secrets.choice, Seconds()).text for _ in range(20)}
    assert len(codes) == 20
    assert all(len(code.replace("-", "")) == LENGTH and set(code) <= {*ALPHABET, "-"} for code in codes)


def test_the_code_opens_however_it_is_written() -> None:
    code, _ = code_and_time()
    bare = code.text.replace("-", "")
    assert [code.refusal(text) for text in (code.text, bare, code.text.lower(), f" {bare[:3]} {bare[3:]} ")] == [
        None
    ] * 4


def test_what_is_nearly_right_is_wrong() -> None:
    code, _ = code_and_time()
    assert [code.refusal(text) for text in ("", code.text[:-1], f"{code.text}A", "Ä" * LENGTH)] == [WRONG] * 4


def test_five_wrong_tries_close_it_for_a_while_even_to_the_right_code() -> None:
    code, time = code_and_time()
    assert [code.refusal("nonsense") for _ in range(TRIES_MAX)] == [WRONG] * TRIES_MAX
    assert code.refusal(code.text) == CLOSED
    time.now += WAIT_S - 1
    assert code.refusal(code.text) == CLOSED.replace("30", "1")
    time.now += 1
    assert code.refusal(code.text) is None


def test_the_right_code_forgives_the_wrong_ones_before_it() -> None:
    code, _ = code_and_time()
    for _ in range(3):
        assert [code.refusal("nonsense") for _ in range(TRIES_MAX - 1)] == [WRONG] * (TRIES_MAX - 1)
        assert code.refusal(code.text) is None
