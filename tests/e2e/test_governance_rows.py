"""Which row of the gateway's table is meant, and that no other one is touched: ids, scopes, duplicates, two resources."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.controlplane.errors import KubectlError
from tests.e2e.stage import GatewayStage
from tests.simulators.bifrost.specs import ALL_MODELS, GLOBAL_ROW, KEY_ROW, BudgetSpec, Generation, RowSpec
from tests.simulators.faults import Respond
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

MONTH = {"maxLimit": 70, "resetDuration": "1M"}
TEAM = {"scope": "virtualKey", "scopeId": "vk-team-a"}
ROWS = "/api/governance/model-configs"


def stalled(gateway: GatewayStage, name: str, reason: str) -> str:
    """Wait for a failure that does not pass by itself, and return its message."""
    gateway.until("mcg", name, reason)
    ready, failed = gateway.condition("mcg", name), gateway.condition("mcg", name, "Stalled")
    assert (ready["status"], failed["status"], failed["reason"]) == ("False", "True", reason)
    message: str = ready["message"]
    return message


def looked_at(gateway: GatewayStage, name: str, request: str) -> None:
    """Ask for a look and wait until it was taken."""
    gateway.request("mcg", name, request)
    gateway.handled("mcg", name, request)


@contextmanager
def stale_lists(gateway: GatewayStage) -> Iterator[None]:
    """Let every list be one from before any row was made, until the operator has asked for a new row."""
    gateway.bifrost.inject(
        Respond(body={"model_configs": [], "count": 0}), method="GET", path="model-configs$", count=None
    )
    yield
    eventually(lambda: [write for write in gateway.writes() if write.method == "POST"])
    gateway.bifrost.clear_faults()


def test_rows_that_no_resource_names_are_never_touched(gateway: GatewayStage, generation: Generation) -> None:
    before = gateway.bifrost.rows()
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, rateLimit={"requestMaxLimit": 5, "requestResetDuration": "1m"})
    gateway.until("mcg", "gpt", "Synced")
    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 71}})
    gateway.until("mcg", "gpt", "Synced")
    [made] = gateway.bifrost.find("gpt-5", "openai")
    gateway.bifrost.delete_row(made["id"])
    looked_at(gateway, "gpt", "again")
    gateway.patch("mcg", "gpt", {"budget": None, "budgets": [], "rateLimit": None})
    gateway.until("mcg", "gpt", "Synced")
    gateway.plane.kubectl("delete", "mcg", "gpt", "-n", gateway.namespace)

    [left] = gateway.bifrost.find("gpt-5", "openai")
    assert [row for row in gateway.bifrost.rows() if row["id"] != left["id"]] == before
    assert [write.method for write in gateway.writes()] == ["POST", "PUT", "POST", "PUT"]


@pytest.mark.parametrize("version", [None, "v1.0.0"])
def test_the_first_row_of_an_empty_gateway_is_what_the_spec_says(
    gateway: GatewayStage, generation: Generation, version: str | None
) -> None:
    gateway.bifrost.seed([])
    gateway.bifrost.set_version(version)
    gateway.open()
    gateway.mcg("gpt", "gpt-5", provider=None, budget=MONTH)
    assert gateway.until("mcg", "gpt", "Synced")["status"]["created"] is True
    [row] = gateway.bifrost.rows()
    [budget] = gateway.bifrost.state(row["id"]).budgets
    assert (row["model_name"], budget.max_limit, budget.reset_duration) == ("gpt-5", 70, "1M")
    looked_at(gateway, "gpt", "again")
    assert len(gateway.writes()) == 1


def test_a_gateway_that_loses_all_its_rows_gets_them_again_and_is_left_without(
    gateway: GatewayStage, generation: Generation
) -> None:
    gateway.bifrost.seed([])
    gateway.open()
    gateway.until("connection", "bifrost", "Connected")
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Delete")
    first = gateway.until("mcg", "gpt", "Synced")["status"]["target"]["modelConfigId"]

    gateway.bifrost.seed([])
    looked_at(gateway, "gpt", "again")
    status = gateway.until("mcg", "gpt", "Synced")["status"]
    [row] = gateway.bifrost.rows()
    assert status["target"]["modelConfigId"] == row["id"] != first

    gateway.bifrost.seed([])
    gateway.plane.kubectl("delete", "mcg", "gpt", "-n", gateway.namespace, "--timeout=60s")
    assert gateway.bifrost.rows() == []
    gateway.until("connection", "bifrost", "Connected")


def test_a_row_renamed_in_the_ui_gets_its_name_back_and_no_twin(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    before = len(gateway.writes())
    gateway.bifrost.update_row(GLOBAL_ROW, model_name="gpt-4.1")

    looked_at(gateway, "gpt", "one")

    assert gateway.condition("mcg", "gpt")["reason"] == "Synced"
    [write] = gateway.writes()[before:]
    assert (write.method, write.path) == ("PUT", f"{ROWS}/{GLOBAL_ROW}")
    state = gateway.bifrost.state(GLOBAL_ROW)
    assert (state.model_name, state.budgets[0].current_usage) == ("gpt-4o", 12.5)
    eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "DriftCorrected"])
    [text] = [event[2] for event in gateway.events("gpt") if event[1] == "DriftCorrected"]
    assert text == "openai/gpt-4o: modelName from gpt-4.1 back to gpt-4o"


def test_a_name_that_only_looks_like_another_is_warned_of(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "GPT-4o", budget=MONTH)
    gateway.until("mcg", "gpt", "Synced")
    eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "SimilarTarget"])
    [(kind, _, text)] = [event for event in gateway.events("gpt") if event[1] == "SimilarTarget"]
    assert kind == "Warning"
    assert f"model config {GLOBAL_ROW} of 'gpt-4o' of provider 'openai', which differs from 'GPT-4o'" in text
    with pytest.raises(KubectlError, match="must not begin or end with a blank"):
        gateway.mcg("blank", "gpt-4o ", budget=MONTH)


def test_no_row_is_made_where_nothing_is_to_be_limited(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budgets=[], rateLimit={})
    gateway.until("mcg", "gpt", "Synced")
    assert gateway.writes() == []


@pytest.mark.parametrize("generation", [2, 3], indirect=True)
def test_a_virtual_keys_row_is_another_than_the_global_one(gateway: GatewayStage, generation: Generation) -> None:
    gateway.bifrost.set_enterprise()
    gateway.open()
    gateway.mcg("team", ALL_MODELS, provider=None, budget=MONTH, **TEAM)
    gateway.mcg("all", ALL_MODELS, provider=None, budget=MONTH)
    gateway.mcg("person", "gpt-5", budget=MONTH, scope="user", scopeId="u-1")
    team = gateway.until("mcg", "team", "Synced")["status"]
    everybody = gateway.until("mcg", "all", "Synced")["status"]
    person = gateway.until("mcg", "person", "Synced")["status"]

    assert team["target"] == {"name": "* of virtualKey vk-team-a", "modelConfigId": KEY_ROW}
    assert "created" not in team
    assert gateway.bifrost.state(KEY_ROW).budgets[0].max_limit == 70
    [row] = gateway.bifrost.find(ALL_MODELS)
    assert everybody["target"]["modelConfigId"] == row["id"]
    [row] = gateway.bifrost.find("gpt-5", "openai", "user", "u-1")
    assert person["target"]["modelConfigId"] == row["id"]
    [change] = [write for write in gateway.writes() if write.method == "PUT"]
    assert not {"scope", "scope_id"} & set(change.body), "a scope cannot be changed"


def test_a_virtual_key_that_is_not_there_is_named_in_the_gateways_words(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("team", "gpt-5", budget=MONTH, scope="virtualKey", scopeId="vk-team-z")
    assert "Virtual key 'vk-team-z' not found" in stalled(gateway, "team", "InvalidSettings")
    response = gateway.get("mcg", "team")["status"]["response"]
    assert (response["status"], response["message"]) == ("400", "Virtual key 'vk-team-z' not found")
    assert len(gateway.writes()) == 1

    gateway.bifrost.add_virtual_key("vk-team-z", "team-z")
    looked_at(gateway, "team", "again")
    assert gateway.condition("mcg", "team")["reason"] == "Synced"


@pytest.mark.parametrize("generation", [1], indirect=True)
def test_a_scope_is_refused_where_there_are_none(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg("team", "gpt-5", budget=MONTH, **TEAM)
    assert "has no scopes" in stalled(gateway, "team", "InvalidSettings")
    assert gateway.writes() == []


def test_duplicates_are_named_and_nothing_is_guessed(gateway: GatewayStage, generation: Generation) -> None:
    # In generation 1 the database allows two rows of an identity only where it has no provider.
    one = gateway.bifrost.add_row(RowSpec(model_name="gpt-5"))
    other = gateway.bifrost.duplicate_row(one)
    gateway.open()
    gateway.mcg("gpt", "gpt-5", provider=None, budget=MONTH)
    message = stalled(gateway, "gpt", "TargetNotFound")
    assert one in message
    assert other in message
    assert "spec.modelConfigId" in message
    assert gateway.writes() == []

    gateway.patch("mcg", "gpt", {"modelConfigId": other})
    gateway.until("mcg", "gpt", "Synced")
    assert [write.path for write in gateway.writes()] == [f"{ROWS}/{other}"]


def test_a_row_made_at_the_same_moment_is_told_and_left_to_people(gateway: GatewayStage) -> None:
    first = gateway.bifrost.add_row(RowSpec(model_name="gpt-5", provider="openai"))
    gateway.bifrost.set_duplicates()
    with stale_lists(gateway):
        gateway.open()
        gateway.mcg("gpt", "gpt-5", budget=MONTH)
    second = gateway.until("mcg", "gpt", "Synced")["status"]["target"]["modelConfigId"]

    looked_at(gateway, "gpt", "one")
    message = stalled(gateway, "gpt", "TargetNotFound")
    assert first in message
    assert second in message
    gateway.bifrost.delete_row(first)
    looked_at(gateway, "gpt", "two")
    gateway.until("mcg", "gpt", "Synced")
    assert [write.method for write in gateway.writes()] == ["POST"]


def test_a_named_row_is_never_created_nor_taken_for_another(gateway: GatewayStage, generation: Generation) -> None:
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


def test_a_named_row_that_is_deleted_is_not_made_again(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, modelConfigId=GLOBAL_ROW)
    gateway.until("mcg", "gpt", "Synced")
    before = len(gateway.writes())
    gateway.bifrost.delete_row(GLOBAL_ROW)

    looked_at(gateway, "gpt", "one")
    assert GLOBAL_ROW in stalled(gateway, "gpt", "TargetNotFound")
    assert len(gateway.writes()) == before
    assert gateway.bifrost.find("gpt-4o", "openai") == []

    # A backup was restored.
    gateway.bifrost.add_row(RowSpec(id=GLOBAL_ROW, model_name="gpt-4o", provider="openai"))
    looked_at(gateway, "gpt", "two")
    gateway.until("mcg", "gpt", "Synced")
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70


def test_a_row_made_by_somebody_faster_is_adopted(gateway: GatewayStage, generation: Generation) -> None:
    gateway.bifrost.add_row(RowSpec(model_name="gpt-5", provider="openai", budgets=[BudgetSpec(max_limit=1)]))
    with stale_lists(gateway):
        gateway.open()
        gateway.mcg("gpt", "gpt-5", budget=MONTH)
    status = gateway.until("mcg", "gpt", "Synced")["status"]
    *refused, last = [(write.method, write.status) for write in gateway.writes()]
    assert set(refused) == {("POST", 409)}
    assert last == ("PUT", 200)
    assert "created" not in status
    [row] = gateway.bifrost.find("gpt-5", "openai")
    assert gateway.bifrost.state(row["id"]).budgets[0].max_limit == 70


def test_two_resources_for_one_model_config_do_not_correct_each_other(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("older", "gpt-4o", budget=MONTH)
    created = gateway.until("mcg", "older", "Synced")["metadata"]["creationTimestamp"]
    # Kubernetes counts creation in whole seconds.
    moment = datetime.fromisoformat(created) + timedelta(seconds=1.1)
    eventually(lambda: datetime.now(UTC) > moment, interval=0.1)
    gateway.mcg("younger", "gpt-4o", budget={"maxLimit": 9, "resetDuration": "1M"})
    message = stalled(gateway, "younger", "Conflict")
    assert f"ModelConfigGovernance {gateway.namespace}/older" in message
    for number, name in enumerate(("older", "younger", "older", "younger")):
        looked_at(gateway, name, str(number))
    assert len(gateway.writes()) == 1, "neither writes again, however often they are looked at"

    gateway.plane.kubectl("delete", "mcg", "older", "-n", gateway.namespace)
    gateway.until("mcg", "younger", "Synced")
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 9
    assert len(gateway.writes()) == 2
