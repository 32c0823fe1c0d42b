"""I am the shrinker: of a seed that fails, the few faults and steps that it needs to fail.
I may import the other parts of this folder.
I must not take another failure for the one that is looked for.
My tests are in tests/simulation/test_shrink.py.
"""

from collections.abc import Callable, Sequence

from tests.simulation.run import STEPS, run_seed


def shrink(
    seed: int, *, steps: int = STEPS, saboteur: str | None = None, say: Callable[[str], None] = lambda text: None
) -> str:
    """Cut the steps behind the failure, then leave out faults (ddmin) while the same promise is broken.

    Returns what is left, in words; "" when the seed does not fail. Source of ddmin: Zeller and Hildebrandt 2002.
    """
    first = run_seed(seed, steps=steps, saboteur=saboteur)
    if not first.violation:
        return ""
    wanted = promise(first.violation)
    cut = min(first.steps, steps)

    def fails(kept: Sequence[str]) -> bool:
        outcome = run_seed(seed, steps=cut, kept=kept, saboteur=saboteur)
        return promise(outcome.violation) == wanted

    if not fails(first.injected):
        cut = steps
    left = minimal(list(first.injected), fails, say)
    last = run_seed(seed, steps=cut, kept=left, saboteur=saboteur)
    lines = [f"seed {seed}, {cut} steps: {last.violation}", f"{len(left)} of {len(first.injected)} faults:", *left]
    return "\n".join([*lines, "trace:", *last.trace])


def promise(violation: str) -> str:
    """Name the promise that a violation broke, without its circumstances."""
    parts = violation.split(": ", 2)
    return parts[1] if len(parts) > 1 else violation


def minimal(
    items: list[str], fails: Callable[[Sequence[str]], bool], say: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Return a part of the items that still fails and of which no single one can be left out."""
    if fails(()):
        return []
    pieces = 2
    while len(items) > 1:
        size = max(len(items) // pieces, 1)
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        rest = next((r for r in (_without(items, chunk) for chunk in chunks) if r and fails(r)), None)
        if rest is not None:
            items, pieces = rest, max(pieces - 1, 2)
            say(f"{len(items)} faults left")
        elif size == 1:
            break
        else:
            pieces = min(pieces * 2, len(items))
    return items


def _without(items: list[str], chunk: list[str]) -> list[str]:
    left_out = set(chunk)
    return [item for item in items if item not in left_out]
