"""What the operator does with model configs of a gateway, in every generation of its API, as a user sees it."""

from typing import Any

import pytest

from tests.controlplane.errors import KubectlError
from tests.e2e.stage import GatewayStage
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec, Generation, OverrideSpec
from tests.waiting import eventually

Values = dict[str, Any]

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


def test_a_model_config_is_created_with_its_limits(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg(
        "gpt",
        "gpt-5",
        budget={"maxLimit": 100, "resetDuration": "1M"},
        rateLimit={"requestMaxLimit": 1000, "requestResetDuration": "1m"},
    )
    status = gateway.until("mcg", "gpt", "Synced")["status"]

    [row] = gateway.bifrost.find("gpt-5", "openai")
    [write] = gateway.writes()
    assert write.method == "POST"
    assert status["target"] == {"name": "openai/gpt-5", "modelConfigId": row["id"]}
    assert status["created"] is True
    assert (status["response"]["status"], status["response"]["message"]) == ("200", write.response["message"])
    assert status["observed"] == {
        "budgets": [{"maxLimit": 100, "resetDuration": "1M"}],
        "rateLimit": {"requestMaxLimit": 1000, "requestResetDuration": "1m"},
    }
    assert status["summary"] == {"limit": "$100/1M,1000req/1m", "used": "$0.00,0req"}
    window = {"limit": "requests", "resetDuration": "1m", "maxLimit": 1000, "currentUsage": 0}
    assert status["usage"][1] == {**window, "lastReset": row["rate_limit"]["request_last_reset"]}


def test_a_model_config_that_is_there_is_adopted_and_keeps_its_usage(
    gateway: GatewayStage, generation: Generation
) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget={"maxLimit": 250, "resetDuration": "1M"})
    status = gateway.until("mcg", "gpt", "Synced")["status"]

    assert status["target"]["modelConfigId"] == GLOBAL_ROW
    assert "created" not in status
    state = gateway.bifrost.state(GLOBAL_ROW)
    assert [(budget.max_limit, budget.current_usage) for budget in state.budgets] == [(250, 12.5)]
    assert state.rate_limit is not None
    assert state.rate_limit.token_max_limit == 200_000
    [write] = gateway.writes()
    assert (write.method, write.path) == ("PUT", f"/api/governance/model-configs/{GLOBAL_ROW}")


MONTH = {"maxLimit": 100, "resetDuration": "1M"}
LIMITS = {
    "tokenMaxLimit": 200_000,
    "tokenResetDuration": "1h",
    "requestMaxLimit": 1000,
    "requestResetDuration": "1h",
}


def adopted(gateway: GatewayStage, **spec: Any) -> None:
    """Let a resource manage the row that is there, and wait until it does."""
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", **spec)
    gateway.until("mcg", "gpt", "Synced")


def budgets(gateway: GatewayStage) -> list[tuple[float, str, float | None]]:
    """Return limit, duration and usage of the row's budgets."""
    state = gateway.bifrost.state(GLOBAL_ROW)
    return [(budget.max_limit, budget.reset_duration, budget.current_usage) for budget in state.budgets]


def limits(gateway: GatewayStage) -> Values:
    """Return the row's rate limit with its usage, without what is not there."""
    rate_limit = gateway.bifrost.state(GLOBAL_ROW).rate_limit
    return {} if rate_limit is None else rate_limit.model_dump(exclude_none=True)


def edited(gateway: GatewayStage, **spec: Any) -> Values:
    """Change the spec, wait until it holds, and return the status."""
    gateway.patch("mcg", "gpt", spec)
    status: Values = gateway.until("mcg", "gpt", "Synced")["status"]
    return status


def test_each_field_is_changed_in_place_and_keeps_its_usage(gateway: GatewayStage, generation: Generation) -> None:
    adopted(gateway, budget=MONTH, rateLimit=LIMITS)
    [id_] = [budget.id for budget in gateway.bifrost.state(GLOBAL_ROW).budgets]
    assert gateway.writes() == [], "what is there already is not written"

    edited(gateway, budget={"maxLimit": 10.5})
    assert budgets(gateway) == [(10.5, "1M", 12.5)]
    edited(gateway, budget={"resetDuration": "1w"})
    assert budgets(gateway) == [(10.5, "1w", 12.5)]
    assert [budget.id for budget in gateway.bifrost.state(GLOBAL_ROW).budgets] == [id_]
    edited(gateway, rateLimit={"tokenMaxLimit": 9_223_372_036_854_775_807})
    edited(gateway, rateLimit={"tokenResetDuration": "1d"})
    edited(gateway, rateLimit={"requestMaxLimit": 7, "requestResetDuration": "1m"})

    assert limits(gateway) == {
        "token_max_limit": 9_223_372_036_854_775_807,
        "token_reset_duration": "1d",
        "request_max_limit": 7,
        "request_reset_duration": "1m",
        "token_current_usage": 5000,
        "request_current_usage": 40,
    }
    assert [write.method for write in gateway.writes()] == ["PUT"] * 5


def test_parts_are_removed_left_alone_and_added(gateway: GatewayStage, generation: Generation) -> None:
    adopted(gateway, budget=MONTH, rateLimit=LIMITS)

    status = edited(gateway, budget=None, budgets=[])
    assert budgets(gateway) == []
    assert status["observed"]["budgets"] == []
    status = edited(gateway, budgets=None)
    assert "budgets" not in status["observed"]
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=3)])
    status = edited(gateway, rateLimit=dict.fromkeys(LIMITS))
    assert limits(gateway) == {}
    assert status["summary"] == {"limit": "none", "used": "-"}
    assert budgets(gateway) == [(3, "1d", 0)], "what is not managed is left alone"
    edited(gateway, budget={"maxLimit": 5, "resetDuration": "1d"}, rateLimit=LIMITS)
    assert budgets(gateway) == [(5, "1d", 0)]
    assert limits(gateway)["token_max_limit"] == 200_000


@pytest.mark.parametrize("generation", [2, 3], indirect=True)
def test_several_windows_keep_what_was_used_of_each(gateway: GatewayStage, generation: Generation) -> None:
    adopted(gateway, budgets=[MONTH, {"maxLimit": 10, "resetDuration": "1d"}])
    gateway.bifrost.set_usage(GLOBAL_ROW, budget={"1M": 50, "1d": 4})

    status = edited(
        gateway,
        budgets=[
            {"maxLimit": 120, "resetDuration": "1M"},
            {"maxLimit": 20, "resetDuration": "2d"},
            {"maxLimit": 60, "resetDuration": "1w"},
        ],
    )
    # What is new begins with the usage of the closest shorter window that was there.
    kept = [(20, "2d", 4), (60, "1w", 4), (120, "1M", 50)]
    assert sorted(budgets(gateway)) == kept
    told = [(window["maxLimit"], window["resetDuration"], window["currentUsage"]) for window in status["usage"]]
    assert sorted(told) == kept


@pytest.mark.parametrize("duration", ["daily", "1h30m", "720h0m0.000000000s"])
def test_a_duration_no_spec_may_have_is_told_and_changed_in_place(
    gateway: GatewayStage, generation: Generation, duration: str
) -> None:
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=5, reset_duration=duration, current_usage=2)])
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget={"maxLimit": 7, "resetDuration": "1d"}, mode="Observe")
    status = gateway.until("mcg", "gpt", "DriftDetected")["status"]
    assert status["observed"]["budgets"] == [{"maxLimit": 5, "resetDuration": duration}]
    edited(gateway, mode="Enforce")
    assert budgets(gateway) == [(7, "1d", 2)]


@pytest.mark.parametrize("month", [4, None])
def test_quarters_that_were_there_are_put_back_with_their_beginning(gateway: GatewayStage, month: int | None) -> None:
    there = BudgetSpec(max_limit=5, reset_duration="1Q", quarter_start_month=month)
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[there])
    adopted(gateway, budget=MONTH, deletionPolicy="Restore")
    assert [budget.reset_duration for budget in gateway.bifrost.state(GLOBAL_ROW).budgets] == ["1M"]
    gateway.plane.kubectl("delete", "mcg", "gpt", "-n", gateway.namespace, "--timeout=60s")
    [budget] = gateway.bifrost.state(GLOBAL_ROW).budgets
    assert (budget.max_limit, budget.reset_duration, budget.quarter_start_month) == (5, "1Q", month)
    eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "Restored"])


def test_an_override_raises_the_limit_that_usage_is_told_against(gateway: GatewayStage) -> None:
    adopted(gateway, budget=MONTH)
    raised = BudgetSpec(max_limit=100, reset_duration="1M", override=OverrideSpec(amount=50))
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[raised])
    gateway.request("mcg", "gpt", "one")
    [window] = gateway.handled("mcg", "gpt", "one")["status"]["usage"]
    assert (window["maxLimit"], window["overrideAmount"]) == (150, 50)
    assert gateway.condition("mcg", "gpt")["reason"] == "Synced"
    assert gateway.writes() == []


def test_alignment_a_gateway_cannot_change_is_told_and_the_rest_is_in_force(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget={"maxLimit": 7, "resetDuration": "1M"}, calendarAligned=True)
    gateway.until("mcg", "gpt", "InvalidSettings")
    assert "left calendarAligned as it was" in gateway.condition("mcg", "gpt")["message"]
    assert budgets(gateway) == [(7, "1M", 12.5)]
    edited(gateway, calendarAligned=None)


@pytest.mark.parametrize("generation", [1], indirect=True)
def test_several_windows_are_refused_where_there_is_one(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budgets=[MONTH, {"maxLimit": 10, "resetDuration": "1d"}])
    found = gateway.until("mcg", "gpt", "InvalidSettings")
    assert "keeps one budget per model config" in gateway.condition("mcg", "gpt")["message"]
    assert found["status"]["conditions"][1]["type"] == "Stalled"
    assert gateway.writes() == []
    edited(gateway, budgets=[MONTH])


def test_deletion_leaves_the_row(gateway: GatewayStage, generation: Generation) -> None:
    adopted(gateway, budget={"maxLimit": 7, "resetDuration": "1M"})
    gateway.plane.kubectl("delete", "mcg", "gpt", "-n", gateway.namespace)
    assert budgets(gateway) == [(7, "1M", 12.5)]
    assert [write.method for write in gateway.writes()] == ["PUT"]


def test_an_edit_in_the_ui_is_put_back_and_told(gateway: GatewayStage, generation: Generation) -> None:
    adopted(gateway, budget=MONTH, rateLimit=LIMITS)
    foreign = [row for row in gateway.bifrost.rows() if row["id"] != GLOBAL_ROW]
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=9000, reset_duration="1M")])
    gateway.bifrost.set_usage(GLOBAL_ROW, budget={"1M": 77})

    gateway.request("mcg", "gpt", "one")
    status = gateway.handled("mcg", "gpt", "one")["status"]

    assert budgets(gateway) == [(100, "1M", 77)]
    assert "drift" not in status
    [write] = gateway.writes()
    assert "rate_limit" not in write.body, "only what differs is sent"
    eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "DriftCorrected"])
    [message] = [event[2] for event in gateway.events("gpt") if event[1] == "DriftCorrected"]
    assert message == "openai/gpt-4o: budgets[1M].maxLimit from 9000 back to 100"
    assert [row for row in gateway.bifrost.rows() if row["id"] != GLOBAL_ROW] == foreign


def test_a_limit_changed_while_usage_runs_is_put_back_and_nothing_spent_is_forgotten(gateway: GatewayStage) -> None:
    adopted(gateway, budget=MONTH, rateLimit=LIMITS)
    gateway.bifrost.set_traffic(dollars_per_second=2, tokens_per_second=500, requests_per_second=20)
    gateway.bifrost.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=9000, reset_duration="1M")])

    gateway.request("mcg", "gpt", "one")
    gateway.handled("mcg", "gpt", "one")

    [(limit, _, spent)] = budgets(gateway)
    assert limit == 100
    assert spent is not None
    assert spent > 12.5
    assert limits(gateway)["token_current_usage"] > 5000
    assert len(gateway.writes()) == 1


@pytest.mark.parametrize("how", ["deleted", "restarted"])
def test_a_row_that_is_gone_is_created_again_and_told(gateway: GatewayStage, generation: Generation, how: str) -> None:
    adopted(gateway, budget={"maxLimit": 70, "resetDuration": "1M"})
    if how == "deleted":
        gateway.bifrost.delete_row(GLOBAL_ROW)
    else:
        gateway.bifrost.restart_from_config()

    gateway.request("mcg", "gpt", "one")
    status = gateway.handled("mcg", "gpt", "one")["status"]

    [row] = gateway.bifrost.find("gpt-4o", "openai")
    assert status["target"]["modelConfigId"] == row["id"] != GLOBAL_ROW
    assert status["created"] is True
    eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "Recreated"])
    [(kind, _, message)] = [event for event in gateway.events("gpt") if event[1] == "Recreated"]
    assert kind == "Warning"
    assert GLOBAL_ROW in message
    assert "source_of_truth: config.json" in message


def test_observe_tells_and_writes_nothing(gateway: GatewayStage, generation: Generation) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget={"maxLimit": 70, "resetDuration": "1d"}, mode="Observe")
    gateway.mcg("none", "gpt-9", budget=MONTH, mode="Observe")
    status = gateway.until("mcg", "gpt", "DriftDetected")["status"]
    assert status["drift"] == [
        {"field": "budgets[1d].maxLimit", "desired": 70},
        {"field": "budgets[1M].maxLimit", "observed": 100},
    ]
    gateway.until("mcg", "none", "DriftDetected")
    assert gateway.writes() == []


def test_suspend_stops_everything_until_it_ends(gateway: GatewayStage) -> None:
    adopted(gateway, budget=MONTH)
    gateway.patch("mcg", "gpt", {"suspend": True})
    eventually(lambda: gateway.condition("mcg", "gpt", "Suspended"), interval=0.1)
    gateway.patch("mcg", "gpt", {"budget": {"maxLimit": 5}})
    eventually(lambda: gateway.condition("mcg", "gpt").get("status") == "Unknown", interval=0.1)
    assert gateway.writes() == []
    edited(gateway, suspend=False)
    assert budgets(gateway) == [(5, "1M", 12.5)]


@pytest.mark.parametrize(
    "change", [{"modelName": "gpt-5"}, {"provider": "azure"}, {"provider": None}, {"scope": "user", "scopeId": "u"}]
)
def test_another_identity_is_refused(gateway: GatewayStage, change: Values) -> None:
    adopted(gateway, budget=MONTH)
    with pytest.raises(KubectlError, match="are immutable"):
        gateway.patch("mcg", "gpt", change)


def test_the_table_and_the_explanation_read_well(gateway: GatewayStage) -> None:
    adopted(gateway, budget=MONTH, rateLimit=LIMITS)
    head, row = gateway.plane.kubectl("get", "mcg", "-n", gateway.namespace).stdout.splitlines()
    assert head.split() == ["NAME", "READY", "RESPONSE", "TARGET", "LIMIT", "USED", "DRIFT", "CONTESTED", "AGE"]
    assert row.split()[:-1] == [
        "gpt",
        "True",
        "openai/gpt-4o",
        "$100/1M,200000tok/1h,1000req/1h",
        "$12.50,5000tok,40req",
    ]
    explained = gateway.plane.kubectl("explain", "mcg.spec").stdout
    for field in ("budget", "budgets", "modelConfigId", "modelName", "rateLimit", "scopeId"):
        assert f"  {field}\t" in explained, field
    assert "[] removes them" in explained
