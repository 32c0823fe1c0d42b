"""I am the nursery: a process that has imported the engine once and forks a new engine for every life.

A life begun here differs from `python -m engine ...` in nothing but the imports, which cost a second: it runs the same
main() with the same arguments, files and environment. I fork only while I have one thread. One thing I change: OANDA
allows two new connections a second, our venue does not count them, and a start that waits three seconds for its turn
would be most of what these tests do. What is begun by command line keeps waiting.

One JSON object a line comes in, one goes out: {"arguments", "environment", "log"} -> {"pid"}; {"look": pid} and
{"wait": pid} -> {"code"}, which is null while the child lives and negative when a signal ended it.
"""

import gc
import json
import os
import random
import signal
import sys
from typing import Any

from engine.adapters.oanda.limits import REQUESTS_MAX, Limits
from engine.cli import main

CONNECTIONS_MAX = 50


def _born(asked: dict[str, Any]) -> None:
    """Become the engine; never returns."""
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((null, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    os.environ.update(asked["environment"])
    random.seed()
    code = 70
    try:
        code = main(asked["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code(pid: int, options: int) -> int | None:
    done, status = os.waitpid(pid, options)
    return os.waitstatus_to_exitcode(status) if done else None


def _serve() -> None:
    living: set[int] = set()
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    assert threads == 1, f"the nursery has {threads} threads and must not fork"
    Limits.__init__.__defaults__ = (CONNECTIONS_MAX, REQUESTS_MAX)
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if "arguments" in asked:
            pid = os.fork()
            if not pid:
                _born(asked)
            living.add(pid)
            answer: dict[str, int | None] = {"pid": pid}
        else:
            pid = asked.get("wait") or asked["look"]
            code = _code(pid, 0 if "wait" in asked else os.WNOHANG)
            if code is not None:
                living.discard(pid)
            answer = {"code": code}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
