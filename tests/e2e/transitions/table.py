"""Which field went through which transition, for people: printed after the tests, kept in docs/transitions.md."""

from collections import defaultdict

from tests.tables import Row, note

HEADER = """# Fields, and the transitions they went through

Made by `make transitions` on the real API server, over real sockets and with a real operator process. The fields are
read from the CRDs; a field without a line, or a transition that is not reached, fails the tests. After each transition
the remote had what the spec says, everything the spec does not manage was as it was, and the status said so of the
newest generation.

- **refused, reverted**: the remote refuses the value, which nothing in the cluster could know; the status says so in
  the remote's words, the remote stays as it was, and going back to the value before heals without another write.
- **immutable**: the API server refuses the change, and the resource stays as it was.
- **missing, then there**: what is named does not exist yet; it is taken into care when it does.
- **combined**: changed together with other fields at once.

"""
ORDER = (
    "set",
    "change",
    "lowest",
    "highest",
    "refused, reverted",
    "combined",
    "unset",
    "immutable",
    "missing, then there",
)

REACHED: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
"""Transitions that held in this process, by kind and field."""


def held(kind: str, field: str, transition: str) -> None:
    """Note a transition that held."""
    REACHED[kind][field].add(transition)
    note("transitions", kind=kind, field=field, transition=transition)


def text(rows: list[Row]) -> str:
    """Return the table."""
    reached: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        reached[row["kind"]][row["field"]].add(row["transition"])
    parts = [HEADER]
    for kind, fields in sorted(reached.items()):
        used = [name for name in ORDER if any(name in done for done in fields.values())]
        parts.append(f"## {kind}\n\n| field | {' | '.join(used)} |\n|---|{'---|' * len(used)}\n")
        for field, done in sorted(fields.items()):
            cells = " | ".join("yes" if name in done else "-" for name in used)
            parts.append(f"| `{field}` | {cells} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"
