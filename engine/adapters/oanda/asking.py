"""I am asking: a read of OANDA as a parsed value, or as the kind of trouble that the session knows.
I may import the domain, http, answers and reading.
I must not repeat a request: the session asks again when it is time.
My tests are in tests/unit/adapters/oanda/test_broker.py.
"""

from collections.abc import Callable
from typing import TypeVar

from engine.adapters.oanda.answers import Verdict, judge
from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.reading import ParseFault
from engine.domain.error import HaltTrading, RetryLater
from engine.ports import NotSent, Unresolved

_T = TypeVar("_T")


def ask(http: OandaHttp, path: str, parse: Callable[[bytes], _T | ParseFault]) -> _T:
    """Read and parse.

    Raises RetryLater while OANDA cannot be reached or answers what cannot be read, HaltTrading when asking again
    cannot help: key or account refused, a range that is gone, a request that OANDA does not understand.
    """
    outcome = http.get(path)
    if isinstance(outcome, NotSent | Unresolved):
        raise RetryLater(f"OANDA cannot be read: {outcome.reason}.")
    judgement = judge(outcome)
    if judgement.verdict is Verdict.RETRY_LATER:
        raise RetryLater(f"OANDA cannot be read: {judgement.reason}")
    if judgement.verdict is not Verdict.OK:
        raise HaltTrading(f"OANDA refuses to be read: {judgement.reason}")
    parsed = parse(outcome.body)
    if isinstance(parsed, ParseFault):
        raise RetryLater(f"OANDA cannot be read: {parsed.reason}.")
    return parsed
