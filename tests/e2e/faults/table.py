"""What came of every case, for people: printed after the tests, and kept in docs/faults.md by `make faults`."""

from collections import defaultdict

from tests.tables import Row, note

HEADER = """# Faults, and what comes of them

Made by `make faults`: every case on the real API server and over real sockets, with a real operator process. A case holds
when the remote ends at the spec, no status said `Ready` of what the remote did not have at that moment, and the remote was not
written oftener than the bound says.

| fault | kinds | ends at the spec | false Ready | writes at most |
|---|---|---|---|---|
"""


def held(fault: str, kind: str, *, bound: int) -> None:
    """Note a case that held."""
    note("faults", fault=fault, kind=kind, bound=bound)


def text(rows: list[Row]) -> str:
    """Return the table; a case that does not hold fails its test and has no row."""
    cases: dict[tuple[str, int], list[str]] = defaultdict(list)
    for row in rows:
        cases[row["fault"], row["bound"]].append(row["kind"])
    lines = [
        f"| {fault} | {', '.join(dict.fromkeys(kinds))} | yes | 0 | {bound} |"
        for (fault, bound), kinds in cases.items()
    ]
    return HEADER + "\n".join(lines) + "\n"
