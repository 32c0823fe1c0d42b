"""Events survive JSON: what was written is what is read, byte for byte when written again."""

from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.command import CAPITAL_MAX, CAPITAL_MIN, DURATION_S_MAX, SessionConfig
from engine.domain.event import KINDS
from engine.domain.limits import RiskLimits
from engine.domain.order import OrderIntent
from engine.store.codec import decode, encode
from tests.unit.store.tape import decided, story

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
UNITS = DECIMALS.filter(bool)

LIMITS = st.builds(
    RiskLimits,
    risk_per_trade_pct=st.decimals("0.01", "5"),
    position_units_max=st.dictionaries(st.sampled_from(("EUR_USD", "XAU_USD")), st.decimals(0, 1000)).map(
        lambda units: {"*": Decimal(1), **units}
    ),
    positions_max=st.integers(1, 100),
)
CONFIGS = st.builds(
    SessionConfig,
    instruments=st.lists(st.sampled_from(("EUR_USD", "USD_JPY")), unique=True).map(tuple),
    capital_home=st.decimals(CAPITAL_MIN, CAPITAL_MAX, places=4),
    seed=st.integers(0, 2**63 - 1),
    speed=st.none() | st.floats(0.1, 86_400),
    duration_s=st.none() | st.integers(1, DURATION_S_MAX),
    warmup_timeout_s=st.integers(1, 10**6),
    bars=st.lists(st.tuples(st.text(), st.text())).map(tuple),
    limits=LIMITS,
)
ATOMS: dict[object, st.SearchStrategy[object]] = {
    Decimal: DECIMALS,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
    RiskLimits: LIMITS,
    SessionConfig: CONFIGS,
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Draw values of a type hint: the field types that events are made of."""
    if hint in ATOMS:
        return ATOMS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint)
        fields = {name: values_of(part) for name, part in hints.items()}
        return st.builds(hint, **(fields | ({"units": UNITS} if hint is OrderIntent else {})))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        return st.lists(values_of(parts[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(values_of(parts[0]), values_of(parts[1]), max_size=3)
    return st.one_of(*(values_of(part) for part in parts))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data())
def test_every_kind_of_event_is_read_back_as_it_was_written(kind: str, data: st.DataObject) -> None:
    event = data.draw(values_of(KINDS[kind]))
    payload = encode(event)
    back = decode(kind, payload)
    assert back == event
    assert type(back) is type(event)
    assert encode(back) == payload


@given(value=DECIMALS)
def test_a_decimal_keeps_every_digit_and_its_exponent(value: Decimal) -> None:
    back = decode("DecisionMade", encode(decided(equity_home=value)))
    assert str(back.decision.equity_home) == str(value)  # type: ignore[union-attr]


def test_money_is_text_in_the_payload_and_never_a_json_number() -> None:
    for event in story(1).events:
        assert not any(isinstance(leaf, float) for leaf in leaves(encode(event)) if leaf not in (0.625, 60.0))


def leaves(payload: bytes) -> list[object]:
    def walk(node: object) -> list[object]:
        if isinstance(node, dict):
            return [leaf for value in node.values() for leaf in walk(value)]
        if isinstance(node, list):
            return [leaf for value in node for leaf in walk(value)]
        return [node]

    return walk(msgspec.json.decode(payload))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'SomethingElse' is unknown"):
        decode("SomethingElse", b"{}")


def test_a_payload_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="ts_ns"):
        decode("Faulted", b'{"where": "here", "error": "x"}')
