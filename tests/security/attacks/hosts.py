"""A tenant lets a name of the administrator's list lead to where it must not."""

from pathlib import Path
from urllib.parse import urlsplit

from setpoint.settings import DEFAULT_HOSTS
from tests.e2e.stage import KEY, connection, secret
from tests.security import resolver
from tests.security.attacks.registry import attack
from tests.security.siege import Ground, Siege

REFUSED = "ConnectionNotAllowed"
NAMES = {
    "loopback": "127.0.0.1",
    "loopback-mapped": "::ffff:127.0.0.1",
    "loopback-compatible": "::127.0.0.1",
    "loopback-nat64": "64:ff9b::7f00:1",
    "loopback-nat64-local": "64:ff9b:1::7f00:1",
    "loopback-6to4": "2002:7f00:1::1",
    "metadata": "169.254.169.254",
    "metadata-nat64": "64:ff9b::a9fe:a9fe",
    "metadata-alibaba": "100.100.100.200",
    "metadata-azure": "168.63.129.16",
    "metadata-aws": "fd00:ec2::254",
    "public": "93.184.216.34",
    "public-six": "2606:2800:220:1:248:1893:25c8:1946",
}
"""What a Service of type ExternalName, or one without a selector, lets its name lead to."""
PORTS = {"ssh": "https://api.baseten.co:22", "etcd": "https://api.baseten.co:2379"}
"""At a public host that is listed without a port."""


def listed(ground: Ground) -> dict[str, str]:
    """Let the operator reach what it may by default, and of this machine the neighbour's remote only."""
    neighbour = f"http://127.0.0.1:{urlsplit(ground.baseten.url).port}"
    return {"SETPOINT_ALLOWED_HOSTS": f"{DEFAULT_HOSTS},{neighbour}"}


def _refused(siege: Siege, urls: dict[str, str]) -> None:
    key = {"apiKeySecretRef": {"name": "baseten", "key": "api-key"}}
    siege.create(secret("baseten", siege.namespace, KEY))
    siege.create(*(connection(name, siege.namespace, url, baseten=key, timeout="2s") for name, url in urls.items()))
    siege.reach(
        "every Connection is told of",
        lambda: all(siege.condition("spconn", name) for name in urls),
    )
    for name, url in urls.items():
        siege.promise(
            f"{NAMES.get(name, url)} is refused",
            lambda name=name: siege.condition("spconn", name).get("reason") == REFUSED,  # type: ignore[misc] # bound now
            within=1,
        )


@attack(
    "hosts",
    "a Service that leads to loopback, metadata or the world",
    "creates a Service of type ExternalName, and a Connection to its name",
    settings=listed,
    program=(
        str(Path(resolver.__file__)),
        ",".join(f"{name}.{resolver.NAMESPACE}.svc={address}" for name, address in NAMES.items()),
    ),
)
def external_names(siege: Siege) -> None:
    """The name is one of the cluster, the address is not."""
    _refused(siege, {name: f"http://{name}.{resolver.NAMESPACE}.svc:8080" for name in NAMES})


@attack(
    "hosts",
    "another port of a public host that is listed",
    "creates a Connection",
    settings=listed,
    program=(str(Path(resolver.__file__)), "api.baseten.co=127.0.0.1"),
)
def ports(siege: Siege) -> None:
    """A host is listed for its API."""
    _refused(siege, PORTS)
