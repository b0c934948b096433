"""Fields of connections, through all their transitions, as resources see them that are taken care of through each."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e import transcripts
from tests.e2e.stage import Object, Stage
from tests.e2e.transitions import actors
from tests.e2e.transitions.actors import Actor, exchange
from tests.e2e.transitions.connections import GONE, NOT_ALLOWED, Line, Try, course, plain, referred, served
from tests.e2e.transitions.control import tweak_deployment, tweak_row
from tests.e2e.transitions.play import Course, Judge, in_force, play
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

CREDENTIALS = {"first": "credential-one", "second": "credential-two"}
FIRST, SECOND = CREDENTIALS.values()
USER = "someone"
PARTS = {"Connection": ("name", "key"), "ClusterConnection": ("name", "key", "namespace")}
LABEL = "kubernetes.io/metadata.name"


def anyhow(_: str) -> Judge:
    """Return the judge where it is enough that the remote lets the operator in."""
    return in_force


def written_with(which: str, scheme: str = "Bearer") -> Judge:
    """Return the judge who holds the last write of an actor's thing against the credential that was to be used."""

    def judge(actor: Actor, body: Object) -> str | None:
        problem = in_force(actor, body)
        if problem is not None:
            return problem
        assert isinstance(actor, actors.Deployment)
        last = actor.baseten.journal(method="PATCH", path_contains=actor.pattern)[-1].headers["authorization"]
        return None if last == f"{scheme} {CREDENTIALS[which]}" else f"the last write came as {last}"

    return judge


class Scene:
    """Connections of one kind, and who is taken care of through them."""

    def __init__(self, stage: Stage, kind: str, stack: ExitStack) -> None:
        self.stage = stage
        self.kind = kind
        self.other = f"{stage.namespace}-other"
        self.lines: list[Line] = []
        self.courses: list[Course] = []
        self._stack = stack
        self.baseten = self.organization()

    def organization(self) -> BasetenSimulator:
        """Start another Baseten, which lets both credentials in."""
        simulator = self._stack.enter_context(BasetenSimulator.start(converge=0.3, keys=[FIRST, SECOND]))
        simulator.add_model(id=actors.MODEL, name="transitions")
        return simulator

    def gateway(self, **auth: Any) -> BifrostSimulator:
        """Start another gateway."""
        return self._stack.enter_context(BifrostSimulator.start(**auth))

    def line(self, name: str, **spec: Any) -> Line:
        """Return another connection."""
        if self.kind == "ClusterConnection":
            name = f"{self.stage.namespace}-{name}"
            spec["namespaces"] = {"names": [self.stage.namespace]}
        line = Line(self.stage, self.kind, name, spec)
        self.lines.append(line)
        return line

    def models(self, name: str) -> Line:
        """Return another connection to Baseten."""
        line = self.line(name)
        line.spec["baseten"] = {"url": self.baseten.url, "apiKeySecretRef": line.ref("key")}
        return line

    def deployment(self, name: str, line: Line, path: str, tries: list[Try], *, field: str = "") -> None:
        """Let a deployment be taken care of while a field of its connection goes through its course."""
        actor = actors.deployment(name, self.stage.namespace, self.baseten, {"autoscaling": {"maxReplica": 4}})
        self.courses.append(Course(field or path, actor, course(line, path, tries, tweak_deployment), kind=self.kind))

    def row(
        self, name: str, gateway: BifrostSimulator, line: Line, path: str, tries: list[Try], *, field: str = ""
    ) -> None:
        """Let a row be taken care of while a field of its connection goes through its course."""
        actor = actors.row(name, self.stage.namespace, gateway, {"budget": {"maxLimit": 4, "resetDuration": "1M"}})
        self.courses.append(Course(field or path, actor, course(line, path, tries, tweak_row), kind=self.kind))

    def play(self) -> None:
        """Create the connections, and let all courses be taken."""
        for line in self.lines:
            line.apply()
        play(self.stage, self.courses)


@pytest.fixture(params=["Connection", pytest.param("ClusterConnection", marks=pytest.mark.cluster_wide)])
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    """The Secrets are there; at the end nothing is left of the connections."""
    namespace, other = stage.namespace, f"{stage.namespace}-other"
    assert stage.plane.ca_file is not None
    pem = stage.plane.ca_file.read_text(encoding="utf-8")
    values = {"key": (FIRST, SECOND), "user": (USER, USER), "password": (FIRST, FIRST), "ca": (pem, pem)}
    stage.plane.kubectl("create", "namespace", other)
    for name, (first, second) in values.items():
        stage.plane.apply(
            _secret(name, namespace, a=first, b=second),
            _secret(f"{name}2", namespace, a=second),
            _secret(name, other, a=second),
        )
    with ExitStack() as stack:
        made = Scene(stage, request.param, stack)
        try:
            yield made
        finally:
            for plural in ("deploymentautoscalings", "modelconfiggovernances"):
                stage.plane.delete_all(plural, namespace)
            for line in made.lines:
                line.delete()
            stage.plane.kubectl("delete", "namespace", other, "--wait=false")


def test_calls(scene: Scene) -> None:
    rates = {"set": 50, "change": 60, "lowest": 1, "highest": 10_000}
    tries = plain(rates, (0, "should be greater than or equal to 1"))
    scene.deployment("rate", scene.models("rate"), "rateLimit.requestsPerSecond", tries)
    times = {"set": "10s", "change": "1m", "lowest": "1s", "highest": "5m"}
    tries = plain(times, ("6m", "must be a duration from 1s to 5m"))
    scene.deployment("timeout", scene.models("timeout"), "timeout", tries)
    for part in PARTS[scene.kind]:
        line = scene.models(f"ca-{part}")
        tries = [*referred(line, part, "ca", scene.other, anyhow), Try("unset", GONE)]
        scene.deployment(f"ca-{part}", line, "caSecretRef", tries, field=f"caSecretRef.{part}")
    scene.play()


def test_baseten(scene: Scene) -> None:
    scheme = [
        Try("set", "Api-Key", written_with("first", "Api-Key")),
        Try("change", "Bearer", written_with("first")),
        Try("refused, reverted", "Token", rejected="Unsupported value"),
        Try("unset", GONE, written_with("first")),
    ]
    scene.deployment("scheme", scene.models("scheme"), "baseten.authScheme", scheme)
    for part in PARTS[scene.kind]:
        line = scene.models(f"key-{part}")
        tries = referred(line, part, "key", scene.other, written_with)
        path = "baseten.apiKeySecretRef"
        scene.deployment(f"key-{part}", line, path, tries, field=f"{path}.{part}")
    second = scene.organization()
    move = exchange("baseten", actors.deployment("url", scene.stage.namespace, second, {}))
    tries = [
        Try("set", scene.baseten.url),
        Try("change", second.url, before=move),
        Try("", "ftp://127.0.0.1", rejected="url must start with http:// or https://"),
        Try("refused, reverted", scene.baseten.url, before=move),
    ]
    if scene.kind == "Connection":
        tries.insert(3, Try("", "https://example.com", NOT_ALLOWED))
        # What is meant then is Baseten itself, which this operator may not reach.
        tries.append(Try("unset", GONE, NOT_ALLOWED))
    scene.deployment("url", scene.models("url"), "baseten.url", tries)
    scene.play()


def test_bifrost(scene: Scene) -> None:
    first, second = scene.gateway(), scene.gateway()
    move = exchange("bifrost", actors.row("url", scene.stage.namespace, second, {}))
    tries = [
        Try("set", first.gateway_url),
        Try("change", second.gateway_url, before=move),
        Try("", "ftp://127.0.0.1", rejected="url must start with http:// or https://"),
        Try("refused, reverted", first.gateway_url, before=move),
    ]
    scene.row("url", first, scene.line("url", bifrost={"url": first.gateway_url}), "bifrost.url", tries)

    basic = scene.gateway(auth="basic", username=USER, password=FIRST)
    bearer = scene.gateway(auth="bearer", tokens=[FIRST, SECOND])
    setup = scene.gateway(auth="setup_token", setup_token=FIRST)
    for part in PARTS[scene.kind]:
        for who in ("username", "password"):
            line = scene.line(f"{who}-{part}", bifrost={"url": basic.gateway_url})
            both = {"usernameSecretRef": line.ref("user"), "passwordSecretRef": line.ref("password")}
            line.spec["bifrost"]["auth"] = {"basic": both}
            tries = referred(line, part, "user" if who == "username" else "password", scene.other, anyhow)
            path = f"bifrost.auth.basic.{who}SecretRef"
            scene.row(f"{who}-{part}", basic, line, path, tries, field=f"{path}.{part}")
        for gateway, name, credential in ((bearer, "bearer", "key"), (setup, "setupToken", "password")):
            line = scene.line(f"{name.lower()}-{part}", bifrost={"url": gateway.gateway_url})
            line.spec["bifrost"]["auth"] = {f"{name}SecretRef": line.ref(credential)}
            path = f"bifrost.auth.{name}SecretRef"
            tries = referred(line, part, credential, scene.other, anyhow)
            scene.row(f"{name.lower()}-{part}", gateway, line, path, tries, field=f"{path}.{part}")
    scene.play()


@pytest.mark.cluster_wide
@pytest.mark.parametrize("scene", ["ClusterConnection"], indirect=True)
def test_namespaces(scene: Scene) -> None:
    here, other = scene.stage.namespace, scene.other

    def matching(**expression: Any) -> Object:
        return {"selector": {"matchExpressions": [{"key": LABEL, **expression}]}}

    courses: dict[str, tuple[list[Object], Object]] = {
        "namespaces.names[]": ([{"names": [here]}, {"names": [here, other]}], {"names": [other]}),
        "namespaces.selector.matchLabels": (
            [{"selector": {"matchLabels": {LABEL: here}}}, {"selector": {}}],
            {"selector": {"matchLabels": {LABEL: other}}},
        ),
        "namespaces.selector.matchExpressions[].key": (
            [
                matching(operator="Exists"),
                {"selector": {"matchExpressions": [{"key": "no", "operator": "DoesNotExist"}]}},
            ],
            {"selector": {"matchExpressions": [{"key": "no", "operator": "Exists"}]}},
        ),
        "namespaces.selector.matchExpressions[].operator": (
            [matching(operator="In", values=[here]), matching(operator="NotIn", values=[other])],
            matching(operator="DoesNotExist"),
        ),
        "namespaces.selector.matchExpressions[].values[]": (
            [matching(operator="In", values=[here]), matching(operator="In", values=[here, other])],
            matching(operator="In", values=[other]),
        ),
    }
    for number, (path, (good, bad)) in enumerate(courses.items()):
        tries = served(good, bad)
        scene.deployment(f"served-{number}", scene.models(f"served-{number}"), "namespaces", tries, field=path)
    scene.play()


def _secret(name: str, namespace: str, **data: str) -> Object:
    transcripts.hide(*data.values())
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
