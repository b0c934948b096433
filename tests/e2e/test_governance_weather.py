"""A gateway's bad input and bad weather: what the user sees, and that it heals without anyone's help."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.stage import GatewayStage, Object
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec, RowSpec
from tests.simulators.faults import Delay, Drop, Fault, Huge, Respond, Truncate
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

MONTH = {"maxLimit": 70, "resetDuration": "1M"}
RIGHT, WRONG = "what-the-gateway-knows", "what-it-does-not-know"
ROWS = "/api/governance/model-configs"


def stalled(gateway: GatewayStage, name: str, reason: str, *, timeout: float = 30) -> str:
    """Wait for a failure that does not pass by itself, and return its message."""
    gateway.until("mcg", name, reason, timeout=timeout)
    ready, failed = gateway.condition("mcg", name), gateway.condition("mcg", name, "Stalled")
    assert (ready["status"], failed["status"], failed["reason"]) == ("False", "True", reason)
    message: str = ready["message"]
    return message


def secret(gateway: GatewayStage, **values: str) -> None:
    """Apply the Secret bifrost."""
    metadata = {"name": "bifrost", "namespace": gateway.namespace}
    gateway.plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


def ref(key: str) -> Object:
    """Return a reference to a key of the Secret bifrost."""
    return {"name": "bifrost", "key": key}


def refusal(status: int, message: str) -> Respond:
    """Return an answer of the gateway's own kind."""
    body = {"is_bifrost_error": False, "status_code": status, "error": {"message": message}, "extra_fields": {}}
    return Respond(status=status, body=body)


def test_duplicates_are_named_and_nothing_is_guessed(gateway: GatewayStage) -> None:
    other = gateway.bifrost.duplicate_row(GLOBAL_ROW)
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    message = stalled(gateway, "gpt", "TargetNotFound")
    assert GLOBAL_ROW in message
    assert other in message
    assert "spec.modelConfigId" in message
    assert gateway.writes() == []

    gateway.patch("mcg", "gpt", {"modelConfigId": other})
    gateway.until("mcg", "gpt", "Synced")
    assert [write.path for write in gateway.writes()] == [f"{ROWS}/{other}"]


def test_a_named_row_is_never_created_nor_taken_for_another(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gone", "gpt-4o", budget=MONTH, modelConfigId="no-such-row")
    message = stalled(gateway, "gone", "TargetNotFound")
    assert "no-such-row" in message
    assert GLOBAL_ROW in message
    gateway.mcg("other", "gpt-4o-mini", budget=MONTH, modelConfigId=GLOBAL_ROW)
    assert "is of openai/gpt-4o, not of openai/gpt-4o-mini" in stalled(gateway, "other", "TargetNotFound")
    gateway.mcg("named", "gpt-5", budget=MONTH, modelConfigId=gateway.bifrost.add_row(RowSpec(model_name="gpt-5")))
    assert "is of gpt-5, not of openai/gpt-5" in stalled(gateway, "named", "TargetNotFound")
    assert gateway.writes() == []


def test_a_row_made_by_somebody_faster_is_adopted(gateway: GatewayStage) -> None:
    gateway.open()
    # Its first probe would take the fault.
    gateway.until("spconn", "bifrost", "Connected")
    gateway.bifrost.add_row(RowSpec(model_name="gpt-5", provider="openai", budgets=[BudgetSpec(max_limit=1)]))
    # The list is from before the row was made.
    before = {"model_configs": [], "count": 0}
    gateway.bifrost.inject(Respond(body=before), method="GET", path="model-configs$")
    gateway.mcg("gpt", "gpt-5", budget=MONTH)
    status = gateway.until("mcg", "gpt", "Synced")["status"]
    assert [(write.method, write.status) for write in gateway.writes()] == [("POST", 409), ("PUT", 200)]
    assert "created" not in status
    assert len(gateway.bifrost.find("gpt-5", "openai")) == 1


def test_a_500_with_a_message_is_tried_a_few_times_and_then_taken_for_a_refusal(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.bifrost.inject(refusal(500, "budget: weird"), method="PUT", count=None)
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    message = stalled(gateway, "gpt", "InvalidSettings", timeout=60)
    assert "budget: weird" in message
    response = gateway.get("mcg", "gpt")["status"]["response"]
    assert (response["status"], response["message"]) == ("500", "budget: weird")
    assert len(gateway.writes()) == 4

    gateway.request("mcg", "gpt", "again")
    gateway.handled("mcg", "gpt", "again")
    assert stalled(gateway, "gpt", "InvalidSettings")
    assert len(gateway.writes()) == 5
    gateway.bifrost.clear_faults()
    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 71}})
    gateway.until("mcg", "gpt", "Synced")


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        (Respond(status=500, body="<html>oops</html>", headers={"content-type": "text/html"}), None),
        (Respond(status=502, body="<html>bad gateway</html>", headers={"content-type": "text/html"}), None),
        (refusal(503, "starting"), None),
        (Respond(status=429, body={"error": {"message": "slow down"}}, headers={"retry-after": "1"}), None),
        (Respond(status=200, body="no json"), None),
        (Respond(status=200, body={"message": "done", "model_config": {"id": "x"}}), "PUT"),
        (Drop(), None),
        (Drop(applied=True), "POST"),
        (Drop(applied=True), "PUT"),
        (Truncate(), "POST"),
        (Huge(size=20_000_000, applied=True), "POST"),
        (Delay(seconds=3, applied=True), "POST"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "kind", "any"),
)
def test_failures_heal_by_themselves_and_create_no_second_row(
    gateway: GatewayStage, fault: Fault, method: str | None
) -> None:
    gateway.open(timeout="1s")
    gateway.until("spconn", "bifrost", "Connected")
    for wanted in ("GET", "POST", "PUT") if method is None else (method,):
        gateway.bifrost.inject(fault, method=wanted, path="model-configs")
    gateway.mcg("old", "gpt-4o", budget=MONTH)
    gateway.mcg("new", "gpt-5", budget=MONTH)
    gateway.until("mcg", "old", "Synced", timeout=45)
    gateway.until("mcg", "new", "Synced", timeout=45)
    [row] = gateway.bifrost.find("gpt-5", "openai")
    assert row["budgets"][0]["max_limit"] == 70
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70


def test_basic_login_and_a_corrected_password(gateway: GatewayStage) -> None:
    gateway.bifrost.set_auth("basic", username="admin", password=RIGHT)
    secret(gateway, user="admin", password=WRONG)
    gateway.open(auth={"basic": {"usernameSecretRef": ref("user"), "passwordSecretRef": ref("password")}})
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    assert WRONG not in stalled(gateway, "gpt", "AuthenticationFailed")

    secret(gateway, user="admin", password=RIGHT)
    gateway.until("mcg", "gpt", "Synced", timeout=40)


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


def test_a_gateway_that_becomes_a_newer_one_gets_the_newer_field(gateway: GatewayStage) -> None:
    gateway.bifrost.set_generation(1)
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    gateway.bifrost.set_generation(2)
    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 80}})
    gateway.until("mcg", "gpt", "Synced")
    [budget] = gateway.bifrost.state(GLOBAL_ROW).budgets
    assert (budget.max_limit, budget.current_usage) == (80, 12.5)


def test_two_resources_for_one_model_config_do_not_correct_each_other(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("older", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "older", "Synced")
    created = datetime.fromisoformat(gateway.get("mcg", "older")["metadata"]["creationTimestamp"])
    # Kubernetes counts creation in whole seconds.
    eventually(lambda: datetime.now(UTC) > created + timedelta(seconds=1.1), interval=0.1)
    gateway.mcg("younger", "gpt-4o", budget={"maxLimit": 9, "resetDuration": "1M"})
    message = stalled(gateway, "younger", "Conflict")
    assert f"ModelConfigGovernance {gateway.namespace}/older" in message
    assert len(gateway.writes()) == 1

    gateway.plane.kubectl("delete", "mcg", "older", "-n", gateway.namespace)
    gateway.until("mcg", "younger", "Synced")
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 9
    assert len(gateway.writes()) == 2
