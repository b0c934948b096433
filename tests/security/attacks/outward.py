"""A tenant or a remote floods what the operator shows: metrics and statuses."""

from tests.security.attacks.answers import asked
from tests.security.attacks.registry import attack
from tests.security.neighbour import gateway, governance
from tests.security.siege import Siege

ROWS, WINDOWS = 20, 2000
MOST_LINES = 5000
"""Of metrics about one namespace."""


def _governed(siege: Siege, rows: int, windows: int) -> str:
    how = f"windows={rows}x{windows}"
    budget = {"maxLimit": 1, "resetDuration": "1h"}
    siege.create(gateway("bifrost", siege.namespace, siege.remote(how)))
    siege.create(
        *(
            governance(
                f"r{number}",
                siege.namespace,
                {"modelName": f"r{number}", "provider": "openai", "budget": budget, "mode": "Observe"},
            )
            for number in range(rows)
        )
    )
    return how


@attack("outward", "20 rows of a gateway with 2000 windows each", "creates a Connection and 20 resources")
def metrics(siege: Siege) -> None:
    """Each window would be a line of metrics, and several."""
    how = _governed(siege, ROWS, WINDOWS)
    siege.promise(
        "every resource is told of", lambda: all(siege.condition("mcg", f"r{number}") for number in range(ROWS))
    )
    siege.endure(lambda: asked(siege, how))
    text = siege.operator.probe("/metrics")[1]
    lines = [line for line in text.splitlines() if siege.namespace in line]
    siege.promise(
        f"/metrics has at most {MOST_LINES} lines about the namespace", lambda: len(lines) <= MOST_LINES, within=1
    )


@attack("outward", "a row whose status would be larger than an object may be", "creates a Connection and a resource")
def status(siege: Siege) -> None:
    """The API server refuses a status of 1.5 MiB, and then nothing is told at all."""
    how = _governed(siege, 1, 20_000)
    siege.promise("the resource is told of", lambda: siege.condition("mcg", "r0"))
    siege.endure(lambda: asked(siege, how))
