"""A tenant without a key claims a target that is another one's."""

import time
from collections.abc import Callable
from typing import Any

from tests.e2e.stage import Object, connection, secret
from tests.security.attacks.registry import attack
from tests.security.neighbour import autoscaling
from tests.security.siege import Siege
from tests.simulators.baseten.specs import DeploymentSpec
from tests.waiting import eventually

TARGET = {"modelId": "m-greeter", "deployment": "d-coveted"}
FOUND, WANTED = 4, 3
"""Replicas before anybody managed them, and what the owner wants."""
BOGUS = "bogus-key-4c1f00d2"
OWNER, THIEF = "owner", "thief"

Setup = Callable[[Siege], None]


def wrong_key(siege: Siege) -> None:
    """Lead to the same remote, with a key it does not know."""
    url = siege.ground.baseten.url
    siege.create(secret("baseten", siege.namespace, BOGUS), connection("baseten", siege.namespace, url))


def no_secret(siege: Siege) -> None:
    """Lead to the same remote, with a Secret that is not there."""
    siege.create(connection("baseten", siege.namespace, siege.ground.baseten.url))


def no_connection(siege: Siege) -> None:
    """Lead nowhere."""


def other_remote(siege: Siege) -> None:
    """Lead to another remote, which never answers."""
    url = siege.remote("never")
    siege.create(secret("baseten", siege.namespace, BOGUS), connection("baseten", siege.namespace, url, timeout="1s"))


def thief(siege: Siege, **spec: Any) -> Object:
    """Return the attacker's resource."""
    return autoscaling(THIEF, siege.namespace, TARGET, **{"autoscaling": {"maxReplica": 1}, **spec})


def owner(siege: Siege, **spec: Any) -> Object:
    """Return the neighbour's other resource, which has the key."""
    return autoscaling(
        OWNER, siege.home.namespace, TARGET, **{"autoscaling": {"maxReplica": WANTED}, "interval": "30s", **spec}
    )


def replicas(siege: Siege) -> Any:
    """Return what the target has."""
    return (siege.ground.baseten.settings(model=TARGET["modelId"], deployment=TARGET["deployment"]) or {}).get(
        "max_replica"
    )


def begin(siege: Siege) -> None:
    """Let the target be there, as somebody has set it."""
    there = DeploymentSpec(id=TARGET["deployment"], settings={"max_replica": FOUND})
    siege.ground.baseten.add_deployment(TARGET["modelId"], there)


def ready(siege: Siege, name: str = OWNER) -> bool:
    """Tell whether the owner's resource is in sync."""
    return siege.home.condition("das", name).get("reason") == "Synced" and replicas(siege) == WANTED


def seen(siege: Siege) -> bool:
    """Tell whether the operator has said something of the attacker's resource."""
    return bool(siege.get("das", THIEF).get("status", {}).get("conditions"))


def a_second_later() -> None:
    """Wait until what is created now is younger than what there is: times of creation have whole seconds."""
    begun = int(time.time())
    eventually(lambda: int(time.time()) > begun + 1)


def first(siege: Siege, **spec: Any) -> None:
    """Be there before the owner."""
    siege.create(thief(siege, **spec))
    siege.reach("the attacker's resource is looked at", lambda: seen(siege))
    a_second_later()
    siege.create(owner(siege))
    siege.promise("the target is its owner's, who came later", lambda: ready(siege))


BEFORE: dict[str, tuple[Setup, dict[str, Any]]] = {
    "a wrong key": (wrong_key, {}),
    "no Secret": (no_secret, {}),
    "no Connection": (no_connection, {}),
    "a remote that never answers": (other_remote, {}),
    "suspend from the start": (wrong_key, {"suspend": True}),
}


def _older(setup: Setup, spec: dict[str, Any]) -> Callable[[Siege], None]:
    def run(siege: Siege) -> None:
        begin(siege)
        setup(siege)
        first(siege, **spec)

    return run


for name, (setup, spec) in BEFORE.items():
    attack("claims", f"an older resource with {name}", "creates a resource of another one's target")(
        _older(setup, spec)
    )


@attack(
    "claims", "an owner who deletes and applies again", "creates a resource of another one's target, with a wrong key"
)
def applied_again(siege: Siege) -> None:
    """What was younger is older then."""
    begin(siege)
    siege.create(owner(siege))
    siege.reach("the owner has the target first", lambda: ready(siege))
    a_second_later()
    wrong_key(siege)
    siege.create(thief(siege))
    siege.reach("the attacker's resource is looked at", lambda: seen(siege))
    siege.ground.kube.delete("DeploymentAutoscaling", siege.home.namespace, OWNER)
    siege.promise("the owner's is gone", lambda: siege.plane.get("das", OWNER, siege.home.namespace) is None)
    a_second_later()
    siege.create(owner(siege))
    siege.promise("the target is its owner's again", lambda: ready(siege))


@attack("claims", "a younger resource during a Restore", "creates a resource of another one's target, with a wrong key")
def during_restore(siege: Siege) -> None:
    """The owner's last wish is to have put back what was found."""
    begin(siege)
    siege.create(owner(siege, deletionPolicy="Restore"))
    siege.reach("the owner has the target first", lambda: ready(siege))
    a_second_later()
    wrong_key(siege)
    siege.create(thief(siege))
    siege.reach("the attacker's resource is looked at", lambda: seen(siege))
    siege.ground.kube.delete("DeploymentAutoscaling", siege.home.namespace, OWNER)
    siege.promise("what the owner found is put back", lambda: replicas(siege) == FOUND)
    siege.promise("the owner's is gone", lambda: siege.plane.get("das", OWNER, siege.home.namespace) is None)
    siege.promise(
        "no Event says that it was not restored",
        lambda: not [one for one in siege.home.events(OWNER) if one[1] == "NotRestored"],
        within=1,
    )
