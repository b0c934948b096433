"""A tenant has many of everything, all of them hung, failing or slow."""

import statistics

from tests.e2e.stage import KEY, connection, secret
from tests.security.attacks.answers import Settled, asked, baseten_at
from tests.security.attacks.registry import attack
from tests.security.neighbour import autoscaling, gateway
from tests.security.siege import Siege

HUNG = 560
FAILING = 3500
TOLD_WITHIN = 15.0
"""Seconds after which a neighbour's Event is there, on cores that also create and fail 3500 resources; it was more than 40."""
CONDITION_WITHIN = 10.0
AS_EVER = 0.5
"""Seconds; one request a second for reads and writes alike makes it more."""


@attack("fairness", "560 Connections that hang, with a resource each", "creates Connections and resources")
def hung(siege: Siege) -> None:
    """They take seats and probes; a neighbour's change and his new Connection want some, too."""
    names = [f"h{number}" for number in range(HUNG)]
    siege.create(secret("baseten", siege.namespace, KEY))
    secrets = {"apiKeySecretRef": {"name": "baseten", "key": "api-key"}}
    url = siege.remote("never")
    siege.create(*(connection(name, siege.namespace, url, timeout="5m", baseten=secrets) for name in names))
    siege.create(
        *(
            autoscaling(name, siege.namespace, {"modelId": name, "deployment": "production"}, connection=name)
            for name in names
        )
    )
    siege.endure(Settled(siege, "never"))
    siege.create(connection("new", siege.home.namespace, siege.ground.baseten.url, baseten=secrets))
    siege.promise(
        f"a neighbour's new Connection has its condition within {CONDITION_WITHIN:.0f} s",
        lambda: siege.home.condition("spconn", "new"),
        within=CONDITION_WITHIN,
    )


@attack("fairness", "3500 failing resources, with an Event each", "creates resources of targets that are not there")
def events(siege: Siege) -> None:
    """A neighbour's Event stands in the same line."""
    baseten_at(siege, "empty", rateLimit={"requestsPerSecond": 10000})
    siege.create(
        *(
            autoscaling(f"f{number}", siege.namespace, {"modelId": "m", "deployment": f"d{number}"})
            for number in range(FAILING)
        )
    )
    siege.endure(lambda: asked(siege, "empty"))
    lost = autoscaling("lost", siege.home.namespace, {"modelId": "nowhere", "deployment": "production"})
    siege.create(lost)
    siege.promise(
        f"a neighbour's Event is there within {TOLD_WITHIN:.0f} s",
        lambda: siege.home.events("lost"),
        within=TOLD_WITHIN,
    )


@attack(
    "fairness",
    "one request a second, declared at an open gateway",
    "creates a Connection with the slowest rate, to a gateway that others use",
    open_gateway=True,
)
def slowest_rate(siege: Siege) -> None:
    """Who has no credential is who has none, to the gateway; but not to the limiter."""
    url = siege.ground.bifrost.gateway_url
    siege.create(gateway("bifrost", siege.namespace, url, rateLimit={"requestsPerSecond": 1}))
    works = "the attacker's Connection works"
    siege.reach(works, lambda: siege.condition("spconn", "bifrost").get("status") == "True")
    before = len(siege.neighbour.seconds)
    siege.endure()
    seconds = siege.neighbour.seconds[before:]
    siege.promise(
        f"half of a neighbour's changes are there within {AS_EVER:g} s",
        lambda: seconds and statistics.median(seconds) <= AS_EVER,
        within=1,
    )
