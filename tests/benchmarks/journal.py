"""Speed of the journal with a thousand and with a million deduplication entries.

    make bench PART=journal
    make bench PART=journal ARGS="--rows 100000"

A commit is measured as the receiver makes it: search for a duplicate, store the message. Times are medians in
milliseconds. Each contains the fsync of the disk, so compare the two columns.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.outbox import OutboxStore
from agent.journal.pruning import Pruner
from agent.journal.timestamps import DAY_S
from agent.service.message import ReceivedCommand

START_WALL_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
COMMIT_COUNT = 200


def make_command(number: int) -> ReceivedCommand:
    sid = "HC" + hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return ReceivedCommand(
        "000", sid, "led on", datetime.fromtimestamp(START_WALL_TIME, UTC), None, answerable=True
    )


def measure(folder: Path, rows: int) -> dict[str, float]:
    """Measure a journal with this many entries, half of them old enough to be pruned; return milliseconds."""
    path = folder / f"{rows}.db"
    ahead = 0.0
    journal = Journal(path, lambda: START_WALL_TIME + ahead, lambda: time.monotonic() + ahead)
    with journal.transaction() as now:
        journal.connection.executemany(
            "INSERT INTO dedup VALUES (?, ?, NULL, ?, ?, ?)",
            (
                (
                    b"s" + (make_command(-number - 1).sid or "").encode(),
                    bytes(16),
                    START_WALL_TIME - number - number % 2 * 40 * DAY_S,
                    now.wall - number % 2 * 40 * DAY_S,
                    now.uptime - number % 2 * 40 * DAY_S,
                )
                for number in range(rows)
            ),
        )
    journal.close()
    results = {}
    begin = time.perf_counter()
    journal = Journal(path, lambda: START_WALL_TIME + ahead, lambda: time.monotonic() + ahead)
    results["start"] = time.perf_counter() - begin
    inbox = CommandStore(journal, OutboxStore(journal))
    for what, first in (("new Command", 0), ("duplicate", 0)):
        times = []
        for number in range(first, first + COMMIT_COUNT):
            begin = time.perf_counter()
            inbox.store(("ME", number % 20), f"{what}{number}", lambda _, number=number: make_command(number))
            times.append(time.perf_counter() - begin)
        results[what] = median(times)
    batches = []
    pruner = Pruner(journal, inbox.parts, 31, 31)
    more = True
    while more:
        begin = time.perf_counter()
        more = pruner.prune_batch()
        batches.append(time.perf_counter() - begin)
    results["longest batch of pruning"] = max(batches)
    results["pruning in all"] = sum(batches)
    assert pruner.pruned_rows == rows // 2, pruner.pruned_rows
    journal.close()
    return {what: 1000 * seconds for what, seconds in results.items()}


def main() -> None:
    """Print the measured times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: a temporary folder")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        few, many = measure(Path(folder), 1000), measure(Path(folder), wanted.rows)
    print(f"{'milliseconds':<28}{1000:>12,}{wanted.rows:>12,}{'ratio':>8}")
    for what, value in few.items():
        print(f"{what:<28}{value:>12.2f}{many[what]:>12.2f}{many[what] / value:>8.1f}")


if __name__ == "__main__":
    main()
