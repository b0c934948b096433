"""A gateway's bad input and bad weather: what the user sees, and that it heals without anyone's help."""

from base64 import b64encode
from typing import Any

import pytest

from setpoint.reconcile.base import UNCLEAR_AGAIN
from tests.e2e import transcripts
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import GatewayStage, Object
from tests.simulators.bifrost.specs import GLOBAL_ROW, Generation
from tests.simulators.faults import Delay, Drop, Fault, Huge, Respond, Truncate
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

MONTH = {"maxLimit": 70, "resetDuration": "1M"}
RIGHT, WRONG = "what-the-gateway-knows", "what-it-does-not-know"


def stalled(gateway: GatewayStage, name: str, reason: str, *, timeout: float = 30) -> str:
    """Wait for a failure that does not pass by itself, and return its message."""
    gateway.until("mcg", name, reason, timeout=timeout)
    ready, failed = gateway.condition("mcg", name), gateway.condition("mcg", name, "Stalled")
    assert (ready["status"], failed["status"], failed["reason"]) == ("False", "True", reason)
    message: str = ready["message"]
    return message


def secret(gateway: GatewayStage, **values: str) -> None:
    """Apply the Secret bifrost."""
    transcripts.hide(*values.values())
    metadata = {"name": "bifrost", "namespace": gateway.namespace}
    gateway.plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


def ref(key: str) -> Object:
    """Return a reference to a key of the Secret bifrost."""
    return {"name": "bifrost", "key": key}


def refusal(status: int, message: str) -> Respond:
    """Return an answer of the gateway's own kind."""
    body = {"is_bifrost_error": False, "status_code": status, "error": {"message": message}, "extra_fields": {}}
    return Respond(status=status, body=body)


def test_a_500_with_a_message_is_tried_a_few_times_and_then_taken_for_a_refusal(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.bifrost.inject(refusal(500, "budget: weird"), method="PUT", count=None)
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    message = stalled(gateway, "gpt", "InvalidSettings", timeout=60)
    assert "budget: weird" in message
    response = gateway.get("mcg", "gpt")["status"]["response"]
    assert (response["status"], response["message"]) == ("500", "budget: weird")
    tries = len(gateway.writes())
    # A try that failed for another reason counts, too.
    assert 3 <= tries <= 4

    gateway.request("mcg", "gpt", "again")
    gateway.handled("mcg", "gpt", "again")
    assert stalled(gateway, "gpt", "InvalidSettings")
    assert len(gateway.writes()) == tries + 1
    gateway.bifrost.clear_faults()
    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 71}})
    gateway.until("mcg", "gpt", "Synced")


@pytest.mark.parametrize(
    ("fault", "method", "reason"),
    [
        (Respond(status=500, body="<html>oops</html>", headers={"content-type": "text/html"}), None, "RemoteError"),
        (
            Respond(status=502, body="<html>bad gateway</html>", headers={"content-type": "text/html"}),
            None,
            "RemoteError",
        ),
        (refusal(503, "starting"), None, "RemoteError"),
        (
            Respond(status=429, body={"error": {"message": "slow down"}}, headers={"retry-after": "1"}),
            None,
            "RateLimited",
        ),
        (Respond(status=200, body={"configs": []}), "GET", "RemoteError"),
        (Drop(), None, "RemoteUnreachable"),
        (Drop(applied=True), "POST", "RemoteUnreachable"),
        (Drop(applied=True), "PUT", "RemoteUnreachable"),
        (Truncate(), "POST", "RemoteUnreachable"),
        (Huge(size=20_000_000), "GET", "RemoteError"),
        (Delay(seconds=3), "GET", "RemoteUnreachable"),
        (Delay(seconds=3, applied=True), "POST", "RemoteUnreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "kind", "any"),
)
def test_failures_are_told_and_heal_by_themselves_and_create_no_second_row(
    gateway: GatewayStage, fault: Fault, method: str | None, reason: str
) -> None:
    def told() -> set[tuple[str, str]]:
        events = [*gateway.events("old"), *gateway.events("new")]
        return {(kind, why) for kind, why, _ in events if why == reason}

    for wanted in ("POST", "PUT") if method is None else (method,):
        # The first list may be the connection's own; it serves the resources too.
        gateway.bifrost.inject(fault, method=wanted, path="model-configs", count=None if wanted == "GET" else 1)
    if method is None:
        gateway.bifrost.inject(fault, method="GET", path="model-configs")
    gateway.open(timeout="1s")
    gateway.mcg("old", "gpt-4o", budget=MONTH)
    gateway.mcg("new", "gpt-5", budget=MONTH)
    if method == "GET":
        eventually(told)
        gateway.bifrost.clear_faults()
    gateway.until("mcg", "old", "Synced", timeout=45)
    gateway.until("mcg", "new", "Synced", timeout=45)
    [row] = gateway.bifrost.find("gpt-5", "openai")
    assert row["budgets"][0]["max_limit"] == 70
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70
    assert eventually(told) == {("Warning", reason)}


@pytest.mark.parametrize(
    "fault",
    [
        Respond(status=200, body="no json"),
        Respond(status=200, body={"message": "done"}),
        Respond(status=200, body={"message": "done", "model_config": {"id": "x"}}),
        Respond(status=200, body={"message": "done", "model_config": {"id": "x", "model_name": "another"}}),
    ],
    ids=str,
)
def test_a_success_that_cannot_be_understood_is_read_and_sent_again_only_after_a_pause(
    gateway: GatewayStage, fault: Respond
) -> None:
    gateway.open()
    gateway.bifrost.inject(fault, method="PUT", path="model-configs")
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, interval="30s")
    applying = gateway.until("mcg", "gpt", "Applying")
    assert applying["status"]["response"]["status"] == "200"
    gateway.until("mcg", "gpt", "Synced", timeout=90)
    first, second = gateway.writes()
    assert second.monotonic - first.monotonic >= UNCLEAR_AGAIN
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70


def test_a_success_that_is_too_large_to_be_read_is_found_out_by_reading(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.bifrost.inject(Huge(size=20_000_000, applied=True), method="POST", path="model-configs")
    gateway.mcg("gpt", "gpt-5", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    assert [write.method for write in gateway.writes()] == ["POST"]


def test_basic_login_and_a_corrected_password(gateway: GatewayStage, operator: OperatorProcess) -> None:
    gateway.bifrost.set_auth("basic", username="admin", password=RIGHT)
    secret(gateway, user="admin", password=WRONG)
    gateway.open(auth={"basic": {"usernameSecretRef": ref("user"), "passwordSecretRef": ref("password")}})
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    assert WRONG not in stalled(gateway, "gpt", "AuthenticationFailed")

    secret(gateway, user="admin", password=RIGHT)
    gateway.until("mcg", "gpt", "Synced", timeout=40)
    shown = gateway.plane.kubectl("get", "mcg,spconn,events", "-n", gateway.namespace, "-o", "yaml").stdout
    for password in (RIGHT, WRONG):
        login = b64encode(f"admin:{password}".encode()).decode()
        for text in (shown, operator.log()):
            assert password not in text
            assert login not in text


def test_a_setup_token_opens_the_gateway_and_a_wrong_one_is_forbidden(gateway: GatewayStage) -> None:
    gateway.bifrost.set_auth("setup_token", setup_token=RIGHT)
    secret(gateway, right=RIGHT, wrong=WRONG)
    gateway.open(auth={"setupTokenSecretRef": ref("wrong")})
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    message = stalled(gateway, "gpt", "Forbidden")
    assert WRONG not in message

    gateway.open(auth={"setupTokenSecretRef": ref("right")})
    gateway.until("mcg", "gpt", "Synced")


def test_a_login_that_is_needed_and_not_given(gateway: GatewayStage) -> None:
    gateway.bifrost.set_auth("bearer", tokens=[RIGHT])
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    stalled(gateway, "gpt", "AuthenticationFailed")
    secret(gateway, token=RIGHT)
    gateway.open(auth={"bearerSecretRef": ref("token")})
    gateway.until("mcg", "gpt", "Synced", timeout=40)


def test_a_connection_to_something_else_is_not_allowed(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.plane.apply(
        {
            "apiVersion": "setpoint.dev/v1alpha1",
            "kind": "DeploymentAutoscaling",
            "metadata": {"name": "das", "namespace": gateway.namespace},
            "spec": {
                "connectionRef": {"name": "bifrost"},
                "target": {"modelId": "m", "deployment": "production"},
                "autoscaling": {"maxReplica": 3},
            },
        }
    )
    gateway.until("das", "das", "ConnectionNotAllowed")
    assert "is not a connection to Baseten" in gateway.condition("das", "das")["message"]
    gateway.plane.kubectl("delete", "das", "das", "-n", gateway.namespace)


def test_a_newer_release_works_as_long_as_its_shape_is_understood(gateway: GatewayStage) -> None:
    gateway.bifrost.set_version("v9.1.0")
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"items": []}, "without model_configs"),
        (
            {"model_configs": [{"id": GLOBAL_ROW, "model_name": "gpt-4o", "provider": "openai", "budgets": {"a": 1}}]},
            "budgets should be a list of objects",
        ),
        ({"model_configs": [], "total_count": 70}, "0 of 70 model configs"),
    ],
)
def test_a_newer_release_of_another_shape_is_named(gateway: GatewayStage, body: Any, expected: str) -> None:
    gateway.bifrost.set_version("v9.1.0")
    gateway.bifrost.inject(Respond(body=body), method="GET", path="model-configs", count=None)
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "RemoteError")
    message = gateway.condition("mcg", "gpt")["message"]
    assert "v9.1.0" in message
    assert expected in message
    assert gateway.writes() == []


@pytest.mark.parametrize(("before", "after", "fields"), [(1, 2, ["budget", "budgets"]), (2, 1, ["budgets", "budget"])])
def test_a_gateway_replaced_between_list_and_write_gets_the_field_it_reads(
    gateway: GatewayStage, before: Generation, after: Generation, fields: list[str]
) -> None:
    """It answers 200 to the other field and changes nothing."""
    gateway.bifrost.set_generation(before)
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    rows, since = gateway.bifrost.rows(), gateway.bifrost.last()
    gateway.bifrost.set_generation(after)
    listed = {"model_configs": rows, "count": len(rows)}
    gateway.bifrost.inject(Respond(body=listed), method="GET", path="model-configs$")

    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 80}})
    gateway.until("mcg", "gpt", "Synced")

    [budget] = gateway.bifrost.state(GLOBAL_ROW).budgets
    assert (budget.max_limit, budget.current_usage) == (80, 12.5)
    sent = [next(name for name in fields if name in write.body) for write in gateway.writes() if write.sequence > since]
    assert sent == fields


def test_an_outage_is_told_after_a_few_tries_and_nothing_is_written_after_it(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    before, since = len(gateway.writes()), gateway.bifrost.last()
    gateway.bifrost.inject(refusal(503, "starting"), method="GET", count=None)

    gateway.request("mcg", "gpt", "now")
    eventually(lambda: len(gateway.bifrost.journal(since=since)) >= 2, timeout=20)
    assert gateway.condition("mcg", "gpt")["status"] == "True"
    gateway.until("mcg", "gpt", "RemoteError")
    assert "starting" in gateway.condition("mcg", "gpt")["message"]
    assert gateway.condition("mcg", "gpt")["status"] == "Unknown"

    gateway.bifrost.clear_faults()
    gateway.request("mcg", "gpt", "at once")
    gateway.until("mcg", "gpt", "Synced")
    assert len(gateway.writes()) == before
