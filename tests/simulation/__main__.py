"""`make simulate SEEDS=10000`: play so many stories, and tell how long it took and which seeds failed."""

import sys
import time

from tests.simulation.run import played

SHOWN = 20
EVERY = 500


def main(first: int, count: int) -> int:
    """Play the stories of seeds; return 1 where an invariant was violated."""
    began = time.monotonic()
    failed, checks, writes, deaths = [], 0, 0, 0
    for number, result in enumerate(played(range(first, first + count)), 1):
        checks, writes, deaths = checks + result.checks, writes + result.writes, deaths + len(result.deaths)
        if result.violation is not None:
            failed.append(result)
            sys.stdout.write(f"seed {result.seed}: {result.violation}\n")
        if number % EVERY == 0:
            sys.stdout.write(f"{number} stories, {len(failed)} failed, {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
    took = time.monotonic() - began
    sys.stdout.write(
        f"{count} simulated hours in {took:.0f} s: {writes} writes, {deaths} deaths of processes, {checks} checks of "
        f"what must hold, {len(failed)} stories failed{': seeds ' if failed else ''}"
        f"{', '.join(str(result.seed) for result in failed[:SHOWN])}\n"
    )
    if failed:
        sys.stdout.write("\n".join(failed[0].log[-SHOWN:]) + "\n")
        sys.stdout.write(f"the whole of it: make simulate FIRST={failed[0].seed} SEEDS=1\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))
