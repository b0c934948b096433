"""What people see: the tree of resources by connection, and what there is to say about one.

Whatever is shown was written by somebody: users, remotes, whoever may write a status. A terminal obeys some characters, so
every text goes through `plain` before it gets there.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.text import Text
from rich.tree import Tree

from setpoint.kubectl.objects import Found, by_connection
from setpoint.reconcile.advice import advice
from setpoint.resources.common import clean_message

DAY, HOUR, MINUTE = 86400, 3600, 60
NOT_SEEN = "not looked at yet"
MOST_DRIFT = 20
"""Differences that are told one by one."""


def plain(text: object) -> str:
    """Return a text as one line of bounded length that a terminal shows and does not obey."""
    return clean_message(str(text))


def tree(found: Iterable[Found], now: datetime) -> Tree:
    """Return every connection with the resources that use it, each with state, reason and age."""
    root = Tree("Setpoint", hide_root=True)
    for (kind, namespace, name), (connection, users) in sorted(by_connection(found).items()):
        place = f"{namespace}/" if namespace else ""
        head = Text(plain(f"{kind} {place}{name}"), style="bold")
        head.append("  ")
        head.append(Text("is not there", style="red") if connection is None else line(connection, now))
        branch = root.add(head)
        for one in sorted(users, key=lambda user: (user.namespace, user.model.kind(), user.name)):
            label = Text(f"{plain(one.title)}  ")
            label.append(line(one, now))
            branch.add(label)
    return root


def line(one: Found, now: datetime) -> Text:
    """Return state, reason and age of a resource, and its message where it is not in order."""
    ready = one.condition("Ready")
    if not ready or not one.current:
        return Text(NOT_SEEN, style="yellow")
    good = ready.get("status") == "True"
    text = Text(
        "Ready" if good else "not Ready", style="green" if good else "red" if one.condition("Stalled") else "yellow"
    )
    text.append(f" {plain(ready.get('reason', ''))} {age(ready.get('lastTransitionTime'), now)}", style="default")
    if one.suspended:
        text.append(" suspended", style="cyan")
    if not good:
        text.append(f"  {plain(ready.get('message', ''))}", style="dim")
    return text


def explanation(one: Found, now: datetime) -> list[str]:
    """Return why a resource is not Ready, or that it is, and what to do, line by line."""
    return [plain(said) for said in _explained(one, now)]


def _explained(one: Found, now: datetime) -> list[str]:
    ready = one.condition("Ready")
    if not ready or not one.current:
        return [
            f"{one.title}: {NOT_SEEN}",
            "What to do: if this lasts, see whether the operator runs and serves this namespace; its log says what is wrong.",
        ]
    state = {"True": "Ready", "False": "not Ready"}.get(str(ready.get("status")), "unknown whether Ready")
    lines = [
        f"{one.title}: {state} since {age(ready.get('lastTransitionTime'), now)}, {ready.get('reason')}",
        f"Why: {ready.get('message')}",
        f"What to do: {advice(str(ready.get('reason')))}",
    ]
    if one.suspended:
        lines.append("It is suspended: nothing is read or written until it is resumed.")
    drift = one.status.get("drift") or ()
    lines += [
        f"Drift: {entry.get('field')} should be {entry.get('desired')} and is {entry.get('observed')}"
        for entry in drift[:MOST_DRIFT]
    ]
    if len(drift) > MOST_DRIFT:
        lines.append(f"Drift: and {len(drift) - MOST_DRIFT} more fields")
    response = one.status.get("response")
    if response:
        said = f": {response['message']}" if response.get("message") else ""
        lines.append(f"Last answer of the API, {age(response.get('time'), now)} ago: {response.get('status')}{said}")
    return lines


def age(moment: object, now: datetime) -> str:
    """Return for how long something has been so, as kubectl writes it; `?` where nobody knows."""
    try:
        then = datetime.fromisoformat(str(moment))
    except ValueError:
        return "?"
    seconds = int((now - then.astimezone(UTC)).total_seconds())
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{letter}"
    return f"{max(seconds, 0)}s"
