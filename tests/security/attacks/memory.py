"""A tenant takes memory until the kernel ends the operator for all."""

from tests.e2e.stage import KEY, REQUESTED_AT, connection, secret
from tests.security.attacks.answers import EIGHT, ONE, SEVERAL, Settled, asked, baseten_at
from tests.security.attacks.registry import attack
from tests.security.neighbour import autoscaling, gateway, governance
from tests.security.siege import Siege

KIB = 1024
STALLED = 32
REQUESTS = 200
LARGEST_ANNOTATION = 255 * KIB
IDLE = 700
SECRETS = 300
LARGEST_SECRET = 700 * KIB
"""As base64 in JSON it is as large as the API server takes."""


@attack("memory", "16 MiB of small objects", ONE)
def objects(siege: Siege) -> None:
    """Parsed, they are forty times as large."""
    baseten_at(siege, "objects")
    siege.endure(lambda: asked(siege, "objects"))


@attack("memory", "16 MiB of small objects, eight times at once", EIGHT)
def objects_at_once(siege: Siege) -> None:
    """What one answer may cost is nothing that all may cost together."""
    baseten_at(siege, "objects", SEVERAL)
    siege.endure(lambda: asked(siege, "objects", SEVERAL))


@attack("memory", "16 MiB of small objects, packed, eight times at once", EIGHT)
def packed(siege: Siege) -> None:
    """What arrives is small."""
    baseten_at(siege, "packed", SEVERAL)
    siege.endure(lambda: asked(siege, "packed", SEVERAL))


@attack("memory", "32 answers that stall after 16 MiB", "creates a Connection and 32 resources")
def stalls(siege: Siege) -> None:
    """Each is kept until its time is up."""
    siege.create(
        *(
            autoscaling(f"r{number}", siege.namespace, {"modelId": f"m{number}", "deployment": "production"})
            for number in range(STALLED)
        )
    )
    baseten_at(siege, "stalls", timeout="5m")
    siege.endure(Settled(siege, "stalls"))


@attack("memory", "100,000 windows in a row of a gateway", "creates a Connection and a resource")
def windows(siege: Siege) -> None:
    """Each of them would be in the status, and in the metrics."""
    spec = {"modelName": "r0", "provider": "openai", "budget": {"maxLimit": 1, "resetDuration": "1h"}}
    siege.create(governance("one", siege.namespace, {**spec, "mode": "Observe"}))
    siege.create(gateway("bifrost", siege.namespace, siege.remote("windows=1x100000")))
    siege.endure(lambda: asked(siege, "windows=1x100000"))


@attack("memory", "200 requestedAt of 255 KiB", "creates 200 resources with an annotation")
def annotations(siege: Siege) -> None:
    """An annotation is copied into what the status says of it."""
    names = [f"r{number}" for number in range(REQUESTS)]
    baseten_at(siege, "empty")
    siege.create(
        *(autoscaling(name, siege.namespace, {"modelName": name, "deployment": "production"}) for name in names)
    )
    siege.ground.kube.patch_all(
        "DeploymentAutoscaling",
        siege.namespace,
        names,
        {"metadata": {"annotations": {REQUESTED_AT: "x" * LARGEST_ANNOTATION}}},
    )
    siege.endure()


@attack("memory", "700 idle Connections", "creates Connections that nobody uses")
def idle(siege: Siege) -> None:
    """What is kept open for each adds up."""
    siege.create(secret("baseten", siege.namespace, KEY))
    url = siege.remote("empty")
    key = {"apiKeySecretRef": {"name": "baseten", "key": "api-key"}}
    siege.create(*(connection(f"idle-{number}", siege.namespace, url, baseten=key) for number in range(IDLE)))
    siege.endure(Settled(siege, "empty"))


@attack("memory", "300 Secrets of a megabyte", "creates Secrets and Connections")
def secrets(siege: Siege) -> None:
    """One key of each is wanted."""
    large = "x" * LARGEST_SECRET
    url = siege.remote("empty")
    siege.create(
        *(
            {**secret(f"s{number}", siege.namespace, KEY), "stringData": {"api-key": KEY, "rest": large}}
            for number in range(SECRETS)
        )
    )
    siege.create(*(connection(f"s{number}", siege.namespace, url) for number in range(SECRETS)))
    siege.endure(Settled(siege, "empty"))
