"""What came of every case, for people: printed after the tests, and kept in docs/faults.md by `make faults`."""

from collections import defaultdict
from dataclasses import dataclass

HEADER = """# Faults, and what comes of them

Made by `make faults`: every case on the real API server and over real sockets, with a real operator process. A case holds
when the remote ends at the spec, no status said `Ready` of what the remote did not have at that moment, and the remote was not
written oftener than the bound says.

| fault | kinds | ends at the spec | false Ready | writes at most |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One case of one kind."""

    fault: str
    kind: str
    reached: bool
    lies: int
    bound: int


ROWS: list[Row] = []


def held(fault: str, kind: str, *, bound: int) -> None:
    """Note a case that held."""
    ROWS.append(Row(fault, kind, reached=True, lies=0, bound=bound))


def text() -> str:
    """Return the table."""
    cases: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in ROWS:
        cases[row.fault, row.bound].append(row)
    lines = [
        f"| {fault} | {', '.join(dict.fromkeys(row.kind for row in rows))} "
        f"| {'yes' if all(row.reached for row in rows) else 'no'} | {sum(row.lies for row in rows)} | {bound} |"
        for (fault, bound), rows in cases.items()
    ]
    return HEADER + "\n".join(lines) + "\n"
