"""A remote shows the key that it was sent, spelt so that it is not found in the answer as it came."""

import base64
import json
from urllib.parse import quote

from tests.e2e.stage import connection, secret
from tests.security.attacks.registry import attack
from tests.security.hostile import spellings
from tests.security.neighbour import autoscaling, gateway, governance
from tests.security.siege import Siege

KEY = "sk-9/3f0a7+c2e85d41"
"""Has what is spelt in more than one way."""
USER, PASSWORD = "admin-71c0e2", "pw-5e/1a9+77c0d3b2"
OTHER = "another-key-of-the-secret"


def spelt(secret_text: str) -> set[str]:
    """Return what must be shown nowhere: a secret as it is, quoted, or as base64."""
    whole, every = quote(secret_text, safe=""), "".join(f"%{ord(letter):02X}" for letter in secret_text)
    encoded = base64.b64encode(secret_text.encode()).decode()
    return {secret_text, json.dumps(secret_text)[1:-1], whole, whole.lower(), every, encoded, encoded.rstrip("=")}


def shown(siege: Siege) -> dict[str, str]:
    """Return all that others can see of the attacker's namespace, and of the operator."""
    texts = {
        kind: json.dumps(siege.plane.items(kind, siege.namespace), ensure_ascii=False).replace("\\/", "/")
        for kind in ("das", "mcg", "spconn", "events")
    }
    return {**texts, "the log": siege.operator.log(), **siege.operator.surface()}


def leaks(siege: Siege, *secrets: str) -> list[str]:
    """Return where one of the secrets can be seen."""
    forms = {form for one in secrets for form in spelt(one)}
    return [where for where, text in shown(siege).items() if any(form in text for form in forms)]


@attack(
    "keys",
    "a key reflected with escapes, as percent, base64 and pair",
    "controls what a remote answers to others' keys",
)
def reflected(siege: Siege) -> None:
    """Each deployment has the key spelt in its own way, in its name and in the answer to a write."""
    url = siege.remote("reflects")
    ways = list(spellings(KEY))
    siege.create(secret("baseten", siege.namespace, KEY), connection("baseten", siege.namespace, url))
    siege.create(*(autoscaling(way, siege.namespace, {"modelId": "m", "deployment": way}) for way in ways))
    # A name that is not there has those that are there in its message.
    siege.create(autoscaling("other", siege.namespace, {"modelId": "m", "deployment": "other"}))
    siege.create(autoscaling("named", siege.namespace, {"modelName": "other", "deployment": "other"}))
    siege.reach(
        "every resource is told of",
        lambda: all(siege.condition("das", name) for name in (*ways, "other", "named")),
    )
    siege.promise("the key is in no status, Event, log, metric or argument", lambda: not leaks(siege, KEY), within=1)


@attack(
    "keys",
    "a login reflected with escapes, as percent, base64 and pair",
    "controls what a gateway answers to others' logins",
)
def login(siege: Siege) -> None:
    """User names count as a part of the credential."""
    url = siege.remote("reflects")
    one = secret("login", siege.namespace, "") | {"stringData": {"username": USER, "password": PASSWORD}}
    refs = {f"{name}SecretRef": {"name": "login", "key": name} for name in ("username", "password")}
    siege.create(one, gateway("bifrost", siege.namespace, url, {"basic": refs}))
    budget = {"maxLimit": 1, "resetDuration": "1h"}
    siege.create(
        *(
            governance(way, siege.namespace, {"modelName": way, "provider": "openai", "budget": budget})
            for way in spellings(KEY)
        )
    )
    siege.reach("every resource is told of", lambda: all(siege.condition("mcg", name) for name in spellings(KEY)))
    pair = f"{USER}:{PASSWORD}"
    siege.promise(
        "user and password are in no status, Event, log, metric or argument",
        lambda: not leaks(siege, USER, PASSWORD, pair),
        within=1,
    )


@attack("keys", "names of other keys of a Secret", "creates a Connection to a Secret he may not read")
def other_names(siege: Siege) -> None:
    """Who may not read a Secret learns nothing of it."""
    one = secret("baseten", siege.namespace, KEY) | {"stringData": {OTHER: KEY}}
    siege.create(one, connection("baseten", siege.namespace, siege.ground.baseten.url))
    siege.reach("the Connection is told of", lambda: siege.condition("spconn", "baseten"))
    siege.promise("no other key of the Secret is named", lambda: not leaks(siege, OTHER), within=1)


@attack(
    "keys", "a Secret of another namespace, and the operator's own token", "creates Connections to a server of his own"
)
def of_others(siege: Siege) -> None:
    """What is sent is what the attacker's own namespace has."""
    there, none, own = (f"empty={what}" for what in ("there", "none", "own"))
    secret_there = {"apiKeySecretRef": {"name": "baseten", "key": "api-key", "namespace": siege.home.namespace}}
    siege.create(connection("there", siege.namespace, siege.remote(there), baseten=secret_there))
    siege.create(gateway("none", siege.namespace, siege.remote(none)))
    siege.create(secret("own", siege.namespace, KEY), connection("own", siege.namespace, siege.remote(own)))
    siege.reach(
        "every Connection is told of", lambda: all(siege.condition("spconn", name) for name in ("there", "none", "own"))
    )
    siege.reach("the attacker's own key is sent", lambda: f"Bearer {KEY}" in siege.sent(own))
    siege.promise("nothing is sent with a neighbour's Secret", lambda: not siege.sent(there), within=1)
    siege.promise("nothing is sent where no credential is named", lambda: set(siege.sent(none)) == {""}, within=1)
