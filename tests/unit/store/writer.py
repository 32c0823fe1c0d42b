"""A process that writes batches of decisions until it is killed or the disk is full, telling what is durable.

Run as: python -m tests.unit.store.writer DATABASE BATCH [BYTES_MAX]. It prints the number of events acknowledged
after each commit; on HaltTrading it prints "halted: <reason>" and ends.
"""

import resource
import sys
from pathlib import Path

from engine.domain.error import HaltTrading
from tests.unit.store.tape import MINUTE_NS, START_NS, decided, opened_store


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write(path: Path, batch: int, bytes_max: int | None) -> None:
    journal = opened_store(path).begin_run()
    if bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    number = 0
    try:
        while True:
            for _ in range(batch):
                number += 1
                journal.append(decided(START_NS + number * MINUTE_NS))
            journal.commit()
            tell(str(number))
    except HaltTrading as error:
        tell(f"halted: {error}")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
