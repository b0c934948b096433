"""Single rules of governance under virtual time: hours of sweeps, refusals, rivals and usage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from setpoint.reconcile.ports import Key
from setpoint.remotes.errors import AuthenticationFailed
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec, Generation, OverrideSpec, RateLimitSpec, RowSpec
from tests.unit.governance_world import KIND, MODEL, PROVIDER, Cluster, Gateway, operator
from tests.virtual_time import run

MONTH = {"maxLimit": 100, "resetDuration": "1M"}
HOUR = 3600


def play(scene: Callable[[Cluster, Gateway], Awaitable[None]], generation: Generation = 2) -> None:
    """Run a scene in a new world, in virtual time."""

    async def main() -> None:
        gateway = Gateway(generation)
        await scene(Cluster(gateway), gateway)

    run(main())


def limit(gateway: Gateway) -> float | None:
    """Return the budget of the row."""
    row = gateway.mine()
    return row.budgets[0].max_limit if row is not None and row.budgets else None


def reasons(cluster: Cluster, key: Key) -> list[str]:
    """Collect the reasons a resource's Ready condition has from now on."""
    seen: list[str] = []
    cluster.on_status = lambda changed: seen.append(cluster.ready(key)[1]) if changed == key else None
    return seen


def test_a_change_back_within_a_second_is_compared_with_what_was_just_written() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH)
        async with operator(cluster) as controller:
            await asyncio.sleep(0.2)
            for amount in (50, 100, 60, 100):
                cluster.edit(key, {"budget": {**MONTH, "maxLimit": amount}})
                controller.changed(key)
                await asyncio.sleep(0.1)
                assert limit(gateway) == amount

    play(scene)


def test_a_500_with_words_stalls_after_three_retries_and_is_then_tried_once_an_interval() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget={**MONTH, "maxLimit": 5}, interval="5m")
        gateway.faults = ["500"] * 1000
        seen = reasons(cluster, key)
        async with operator(cluster):
            await asyncio.sleep(30)
            assert cluster.ready(key) == ("False", "InvalidSettings")
            assert cluster.objects[key]["status"]["response"]["message"] == "out of order"
            assert gateway.count("PUT") == 4
            await asyncio.sleep(HOUR)
            assert 4 + 10 <= gateway.count("PUT") <= 4 + 14
            assert seen.count("RemoteError") == 1, "the status does not flap"
            assert set(seen) == {"RemoteError", "InvalidSettings"}
            gateway.faults.clear()
            await asyncio.sleep(400)
            assert cluster.ready(key) == ("True", "Synced")

    play(scene)


def test_a_locked_database_is_no_refusal_however_often_it_is_met() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget={**MONTH, "maxLimit": 5})
        gateway.faults = ["locked"] * 12
        seen = reasons(cluster, key)
        async with operator(cluster):
            await asyncio.sleep(2 * HOUR)
        assert cluster.ready(key) == ("True", "Synced")
        assert gateway.count("PUT") == 13
        assert "InvalidSettings" not in seen

    play(scene)


FOUND = [
    BudgetSpec(max_limit=7, reset_duration="90s"),
    BudgetSpec(max_limit=7, reset_duration="1h30m"),
    BudgetSpec(max_limit=7, reset_duration="24h"),
    BudgetSpec(max_limit=7, reset_duration="1.5d"),
    BudgetSpec(max_limit=7, reset_duration="1w"),
    BudgetSpec(max_limit=7, reset_duration="1M"),
    BudgetSpec(max_limit=7, reset_duration="1Y"),
    BudgetSpec(max_limit=7, reset_duration="1Q"),
    BudgetSpec(max_limit=7, reset_duration="1Q", quarter_start_month=4),
]


@pytest.mark.parametrize("found", FOUND, ids=str)
@pytest.mark.parametrize(
    "wanted", [[MONTH], [], [{"maxLimit": 9, "resetDuration": "1Q", "resetConfig": {"quarterStartMonth": 10}}]]
)
def test_every_window_a_gateway_has_is_put_back_as_it_was(found: BudgetSpec, wanted: list[dict[str, Any]]) -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        rate = RateLimitSpec(request_max_limit=3, request_reset_duration="1h30m")
        gateway.commands.update_row(GLOBAL_ROW, {"budgets": [found], "rate_limit": rate, "calendar_aligned": True})
        key = cluster.add("gpt", budgets=wanted, rateLimit={}, deletionPolicy="Restore")
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            assert cluster.ready(key) == ("True", "Synced")
            cluster.delete(key)
            controller.changed(key)
            await asyncio.sleep(60)
            assert key not in cluster.objects
        assert [event.reason for event in cluster.events][-1] == "Restored"
        row = gateway.commands.state(GLOBAL_ROW)
        [budget] = row.budgets
        kept = {"max_limit", "reset_duration", "quarter_start_month"}
        assert budget.model_dump(include=kept) == found.model_dump(include=kept)
        assert row.rate_limit is not None
        assert row.rate_limit.request_reset_duration == "1h30m"
        assert row.calendar_aligned

    play(scene)


def test_where_quarters_begin_is_managed_and_told() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        quarter = {"maxLimit": 9, "resetDuration": "1Q", "resetConfig": {"quarterStartMonth": 4}}
        key = cluster.add("gpt", budget=quarter)
        async with operator(cluster):
            await asyncio.sleep(5)
            assert cluster.objects[key]["status"]["observed"]["budgets"] == [quarter]
            moved = BudgetSpec(max_limit=9, reset_duration="1Q", quarter_start_month=7)
            gateway.commands.update_row(GLOBAL_ROW, {"budgets": [moved]})
            await asyncio.sleep(120)
        row = gateway.mine()
        assert row is not None
        assert row.budgets[0].quarter_start_month == 4
        [event] = [event for event in cluster.events if event.reason == "DriftCorrected"]
        assert "budgets[1Q].resetConfig.quarterStartMonth from 7 back to 4" in event.message

    play(scene)


def test_where_quarters_begin_stays_where_nobody_manages_it() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        april = BudgetSpec(max_limit=7, reset_duration="1Q", quarter_start_month=4)
        gateway.commands.update_row(GLOBAL_ROW, {"budgets": [april]})
        cluster.add("gpt", budget={"maxLimit": 9, "resetDuration": "1Q"})
        async with operator(cluster):
            await asyncio.sleep(5)
        row = gateway.mine()
        assert row is not None
        assert (row.budgets[0].max_limit, row.budgets[0].quarter_start_month) == (9, 4)

    play(scene)


def test_an_older_gateway_is_not_asked_for_quarters() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.become(version="v1.5.16")
        key = cluster.add("gpt", budget={"maxLimit": 9, "resetDuration": "1Q"})
        async with operator(cluster):
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("False", "InvalidSettings")
        assert "this gateway (v1.5.16) knows no quarters" in cluster.objects[key]["status"]["conditions"][0]["message"]
        assert gateway.count("PUT", "POST") == 0

    play(scene)


@pytest.mark.parametrize("generation", [2, 3])
def test_alignment_is_managed_put_back_and_told(generation: Generation) -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.become(aligns=True)
        key = cluster.add("gpt", budget=MONTH, calendarAligned=True, deletionPolicy="Restore")
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            assert cluster.ready(key) == ("True", "Synced")
            assert cluster.objects[key]["status"]["observed"]["calendarAligned"] is True
            gateway.commands.update_row(GLOBAL_ROW, {"calendar_aligned": False})
            await asyncio.sleep(120)
            assert gateway.commands.state(GLOBAL_ROW).calendar_aligned
            [event] = [event for event in cluster.events if event.reason == "DriftCorrected"]
            assert event.message == "openai/gpt-4o: calendarAligned from false back to true"
            cluster.delete(key)
            controller.changed(key)
            await asyncio.sleep(60)
        assert not gateway.commands.state(GLOBAL_ROW).calendar_aligned
        assert cluster.events[-1].reason == "Restored"

    play(scene, generation)


def test_a_gateway_that_ignores_alignment_is_not_asked_again_and_again() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget={**MONTH, "maxLimit": 7}, calendarAligned=True)
        async with operator(cluster):
            await asyncio.sleep(HOUR)
            assert cluster.ready(key) == ("False", "InvalidSettings")
            message = cluster.objects[key]["status"]["conditions"][0]["message"]
            assert f"took the change of model config {GLOBAL_ROW} and left calendarAligned as it was" in message
            assert limit(gateway) == 7, "all else is as the spec wants it"
            assert gateway.count("PUT") <= 2

    play(scene)


def test_alignment_nobody_manages_is_shown_where_it_is_on_and_left_alone() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.update_row(GLOBAL_ROW, {"calendar_aligned": True})
        key = cluster.add("gpt", budget={**MONTH, "maxLimit": 7})
        async with operator(cluster):
            await asyncio.sleep(5)
        assert cluster.ready(key) == ("True", "Synced")
        assert cluster.objects[key]["status"]["observed"]["calendarAligned"] is True
        assert gateway.commands.state(GLOBAL_ROW).calendar_aligned

    play(scene)


def test_usage_is_told_against_the_limit_with_what_an_override_adds() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH)
        async with operator(cluster):
            await asyncio.sleep(5)
            override = OverrideSpec(amount=50)
            raised = BudgetSpec(max_limit=100, reset_duration="1M", override=override)
            gateway.commands.update_row(GLOBAL_ROW, {"budgets": [raised]})
            await asyncio.sleep(120)
        [window] = cluster.objects[key]["status"]["usage"]
        assert (window["maxLimit"], window["overrideAmount"], window["currentUsage"]) == (150, 50, 12.5)
        assert cluster.ready(key) == ("True", "Synced")
        assert gateway.count("PUT") == 0, "an override is no drift"

    play(scene)


def test_one_list_serves_a_sweep_of_two_hundred() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        keys = [cluster.add(f"r{n}", model=f"m{n}", budget=MONTH, interval="5m") for n in range(200)]
        async with operator(cluster):
            await asyncio.sleep(30)
            assert {cluster.ready(key) for key in keys} == {("True", "Synced")}
            assert gateway.count("POST") == 200
            before = gateway.count("GET")
            await asyncio.sleep(HOUR)
            assert 11 <= gateway.count("GET") - before <= 14
        before = gateway.count("GET")
        async with operator(cluster):
            await asyncio.sleep(HOUR)
        assert 11 <= gateway.count("GET") - before <= 14, "after a restart too"
        assert gateway.count("POST", "PUT") == 200

    play(scene)


def test_the_older_of_two_resources_owns_the_row_and_the_other_takes_over() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        younger = cluster.add("a-younger", age=10, budget={**MONTH, "maxLimit": 7})
        older = cluster.add("b-older", age=20, budget={**MONTH, "maxLimit": 50})
        async with operator(cluster):
            await asyncio.sleep(HOUR)
            assert (cluster.ready(older), cluster.ready(younger)) == (("True", "Synced"), ("False", "Conflict"))
            message = cluster.objects[younger]["status"]["conditions"][0]["message"]
            assert f"{KIND} ns/b-older" in message
            assert gateway.count("PUT") == 1
        async with operator(cluster) as controller:
            await asyncio.sleep(HOUR)
            assert gateway.count("PUT") == 1, "nothing is written after a restart, whoever is listed first"
            del cluster.objects[older]
            controller.gone(older)
            await asyncio.sleep(2)
            assert cluster.ready(younger) == ("True", "Synced")
            assert limit(gateway) == 7

    play(scene)


def test_what_was_deleted_while_the_release_was_asked_for_is_not_written() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.seed([])
        gateway.slow["/api/version"] = 25.0
        key = cluster.add("gpt", budget=MONTH)
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            del cluster.objects[key]
            controller.gone(key)
            await asyncio.sleep(HOUR)
        assert [path for _, _, path in gateway.requests].count("/api/version") == 1
        assert gateway.count("POST", "PUT") == 0

    play(scene)


def test_what_was_edited_while_a_conflict_was_looked_into_is_written_once_and_as_it_is_now() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.seed([])
        key = cluster.add("gpt", budget=MONTH)
        list_path = "/api/governance/model-configs"

        def overtake() -> None:
            if gateway.mine() is None and gateway.count("POST") == 1:
                budgets = [BudgetSpec(max_limit=7, reset_duration="1M")]
                gateway.commands.seed([RowSpec(model_name=MODEL, provider=PROVIDER, budgets=budgets)])
                gateway.slow[list_path] = 20.0

        gateway.before_write = overtake
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            assert (gateway.count("POST"), gateway.count("PUT")) == (1, 0)
            cluster.edit(key, {"budget": {**MONTH, "maxLimit": 60}})
            controller.changed(key)
            await asyncio.sleep(300)
            assert cluster.ready(key) == ("True", "Synced")
        assert limit(gateway) == 60
        assert (gateway.count("POST"), gateway.count("PUT")) == (1, 1)

    play(scene)


def test_a_rival_asks_nothing_so_a_closed_gate_stays_closed_and_the_probe_unused() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        owner = cluster.add("owner", age=90, budget=MONTH)
        rival = cluster.add("rival", age=10, budget=MONTH)
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            now = asyncio.get_running_loop().time()
            cluster.gate.close(owner, AuthenticationFailed("who are you?"), now)
            cluster.gate.probe_now()
            controller.changed(rival)
            await asyncio.sleep(1)
            assert cluster.ready(rival) == ("False", "Conflict")
            cluster.gate.enter(owner, now + 1)
            with pytest.raises(AuthenticationFailed):
                cluster.gate.enter(owner, now + 1)

    play(scene)


def test_an_observer_neither_owns_nor_conflicts() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        watcher = cluster.add("watcher", age=20, budget={**MONTH, "maxLimit": 7}, mode="Observe")
        owner = cluster.add("owner", age=10, budget={**MONTH, "maxLimit": 50})
        async with operator(cluster):
            await asyncio.sleep(HOUR)
        assert (cluster.ready(watcher), cluster.ready(owner)) == (("True", "DriftDetected"), ("True", "Synced"))

    play(scene)


def test_usage_is_written_when_it_moved_by_a_percent_and_once_an_interval() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH, interval="5m")

        def told() -> Any:
            return cluster.objects[key]["status"]["usage"][0]["currentUsage"]

        async with operator(cluster):
            await asyncio.sleep(1)
            assert told() == 12.5
            before = cluster.status_writes
            gateway.commands.set_usage(GLOBAL_ROW, {"1M": 13.4}, None, None)
            await asyncio.sleep(HOUR)
            assert (told(), cluster.status_writes) == (12.5, before), "less than a percent"
            for step in range(60):
                gateway.commands.set_usage(GLOBAL_ROW, {"1M": 20.0 + step}, None, None)
                await asyncio.sleep(60)
            assert told() > 70
            assert 10 <= cluster.status_writes - before <= 14

    play(scene)


def test_rows_of_others_are_left_alone_even_where_they_look_alike() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        foreign = gateway.foreign()
        key = cluster.add("team-b", model="*", budget=MONTH, scope="virtualKey", scopeId="vk-team-b")
        async with operator(cluster):
            await asyncio.sleep(5)
        assert cluster.ready(key) == ("True", "Synced")
        assert [row for row in gateway.foreign() if row.get("scope_id") != "vk-team-b"] == foreign
        assert MODEL in {row["model_name"] for row in gateway.commands.rows()}

    play(scene)
