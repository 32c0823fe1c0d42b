"""I am the tools of sabotage: the list of planted bugs, and how something in the engine is exchanged for a while.
I may import the engine.
I must not outlive the run that a bug was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

from msgspec.structs import replace

from engine.session import beginning, recovery
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher

Plant = Callable[[ExitStack], None]
SABOTEURS: dict[str, Plant] = {}


def saboteur(plant: Plant) -> Plant:
    """Add a bug to the list, by the name of what plants it."""
    SABOTEURS[plant.__name__] = plant
    return plant


class Instead:
    """Something that is the same as another but for what is named."""

    def __init__(self, inner: Any, **changed: Any) -> None:
        self._inner = inner
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def change(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, value))


def forget_event(stack: ExitStack, kind: type) -> None:
    rest = {each: handler for each, handler in recovery._HANDLERS.items() if each is not kind}
    stack.enter_context(mock.patch.dict(recovery._HANDLERS, rest, clear=True))


def let_pass(stack: ExitStack, rule: type) -> None:
    """Let a rule measure as ever, and pass."""
    check = rule.check  # type: ignore[attr-defined]
    change(stack, rule, "check", lambda self, intent, view: replace(check(self, intent, view), passed=True))


def on_the_way_out(stack: ExitStack, adapt: Callable[[Dispatcher], None]) -> None:
    """Change every dispatcher just after it was made."""
    make = Dispatcher.__init__

    def made(self: Dispatcher, *args: Any) -> None:
        make(self, *args)
        adapt(self)

    change(stack, Dispatcher, "__init__", made)


def with_submit(dispatcher: Dispatcher, submit: Callable[[Any, Any], Any]) -> None:
    broker = dispatcher._broker
    dispatcher._broker = Instead(broker, submit=lambda intent: submit(broker, intent))


def after_rebuild(stack: ExitStack, forget: Callable[[Desk], object]) -> None:
    """Forget something that was made again from what earlier runs recorded."""
    rebuild = recovery.rebuild

    def forgetful(desk: Desk, past: Any) -> tuple[str, ...]:
        unfinished = rebuild(desk, past)
        forget(desk)
        return unfinished

    change(stack, beginning, "rebuild", forgetful)
