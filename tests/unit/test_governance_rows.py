"""Rows that are not what they were: renamed, gone, made by somebody else, or of a name that looks like another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from setpoint.reconcile.controller import Controller
from setpoint.reconcile.governance_rows import RowTarget, warning
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.outcome import Attempt, ObservationOutdated
from setpoint.reconcile.ownership import Contest
from setpoint.reconcile.ports import Key
from setpoint.remotes.bifrost_shapes import Identity, ModelConfig
from setpoint.remotes.errors import RemoteFailure
from setpoint.resources.common import OriginConnection
from setpoint.resources.model_config_governance import Budget, GovernanceSettings, Scope
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec, Generation, RowSpec
from tests.unit.governance_world import MODEL, PROVIDER, Cluster, Gateway, operator
from tests.virtual_time import Clock, run

MONTH = {"maxLimit": 100, "resetDuration": "1M"}
HOUR = 3600


def play(scene: Callable[[Cluster, Gateway], Awaitable[None]], generation: Generation = 2) -> None:
    """Run a scene in a new world, in virtual time."""

    async def main() -> None:
        gateway = Gateway(generation)
        await scene(Cluster(gateway), gateway)

    run(main())


def told(cluster: Cluster, reason: str) -> list[str]:
    """Return the messages of the Events of a reason."""
    return [event.message for event in cluster.events if event.reason == reason]


def message(cluster: Cluster, key: Key) -> str:
    """Return what Ready says."""
    return str(cluster.objects[key]["status"]["conditions"][0]["message"])


def delete(cluster: Cluster, controller: Controller, key: Key) -> None:
    """Delete a resource, and let the watch tell."""
    cluster.delete(key)
    controller.changed(key) if key in cluster.objects else controller.gone(key)


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_a_row_that_was_renamed_gets_its_name_back_by_its_id(generation: Generation) -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH)
        async with operator(cluster):
            await asyncio.sleep(5)
            gateway.commands.update_row(GLOBAL_ROW, {"model_name": "gpt-4.1", "provider": "azure"})
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("True", "Synced")
        row = gateway.commands.state(GLOBAL_ROW)
        assert (row.model_name, row.provider) == (MODEL, PROVIDER)
        assert row.budgets[0].current_usage == 12.5, "nothing spent is forgotten"
        assert (gateway.count("POST"), gateway.count("PUT")) == (0, 1)
        assert told(cluster, "DriftCorrected") == [
            "openai/gpt-4o: modelName from gpt-4.1 back to gpt-4o, provider from azure back to openai"
        ]
        assert told(cluster, "Recreated") == []

    play(scene, generation)


def test_a_renamed_row_is_drift_in_mode_observe() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH, mode="Observe")
        async with operator(cluster):
            await asyncio.sleep(5)
            gateway.commands.update_row(GLOBAL_ROW, {"model_name": "gpt-4.1"})
            await asyncio.sleep(HOUR)
        assert cluster.objects[key]["status"]["drift"] == [
            {"field": "modelName", "desired": "gpt-4o", "observed": "gpt-4.1"}
        ]
        assert gateway.count("POST", "PUT") == 0

    play(scene)


def test_a_pinned_row_that_was_renamed_gets_its_name_back() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH, modelConfigId=GLOBAL_ROW)
        async with operator(cluster):
            await asyncio.sleep(5)
            gateway.commands.update_row(GLOBAL_ROW, {"model_name": "gpt-4.1"})
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("True", "Synced")
        assert gateway.commands.state(GLOBAL_ROW).model_name == MODEL

    play(scene)


@pytest.mark.parametrize(
    ("changes", "cannot"),
    [
        ({"provider": "azure"}, "is of azure/gpt-5 now, and the gateway cannot take its provider away again"),
        ({"scope": "virtual_key", "scope_id": "vk-team-a"}, "now, and the gateway cannot change its scope"),
    ],
)
def test_what_cannot_be_given_back_is_told_and_nothing_is_made_beside_it(changes: Any, cannot: str) -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        budgets = [BudgetSpec(max_limit=100, reset_duration="1M")]
        gateway.commands.add_row(RowSpec(id="row", model_name="gpt-5", budgets=budgets))
        key = cluster.add("gpt", model="gpt-5", budget=MONTH)
        del cluster.objects[key]["spec"]["provider"]
        async with operator(cluster):
            await asyncio.sleep(5)
            assert cluster.ready(key) == ("True", "Synced")
            gateway.commands.update_row("row", changes)
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("False", "InvalidSettings")
        assert cannot in message(cluster, key)
        assert gateway.count("POST", "PUT") == 0

    play(scene)


def test_a_renamed_row_whose_name_another_row_has_by_now_is_left_and_told() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", budget=MONTH)
        async with operator(cluster):
            await asyncio.sleep(5)
            gateway.commands.update_row(GLOBAL_ROW, {"model_name": "gpt-4.1"})
            budgets = [BudgetSpec(max_limit=7, reset_duration="1M")]
            gateway.commands.add_row(RowSpec(id="other", model_name=MODEL, provider=PROVIDER, budgets=budgets))
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("True", "Synced")
        assert gateway.commands.state("other").budgets[0].max_limit == 100
        assert gateway.commands.state(GLOBAL_ROW).model_name == "gpt-4.1"
        [said] = [text for text in told(cluster, "SimilarTarget") if "managed here before" in text]
        assert f"model config {GLOBAL_ROW}" in said
        assert "is of openai/gpt-4.1 now" in said
        assert "model config other is of openai/gpt-4o" in said

    play(scene)


def test_two_resources_do_not_take_a_renamed_row_from_each_other() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        first = cluster.add("first", age=20, budget=MONTH)
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            second = cluster.add("second", model="gpt-4.1", budget={**MONTH, "maxLimit": 7})
            gateway.commands.update_row(GLOBAL_ROW, {"model_name": "gpt-4.1"})
            controller.changed(second)
            await asyncio.sleep(HOUR)
            quiet = gateway.count("POST", "PUT")
            await asyncio.sleep(HOUR)
        assert gateway.count("POST", "PUT") == quiet <= 3, "nobody corrects anybody for ever"
        assert {cluster.ready(key) for key in (first, second)} == {("True", "Synced")}
        [row] = gateway.commands.find(MODEL, PROVIDER)
        assert gateway.commands.state(row["id"]).budgets[0].max_limit == 100
        assert gateway.commands.state(GLOBAL_ROW).budgets[0].max_limit == 7
        [said] = told(cluster, "Recreated")
        assert "is of openai/gpt-4.1 now, which ModelConfigGovernance ns/second manages" in said

    play(scene)


def test_no_row_is_made_and_no_baseline_taken_on_the_word_of_an_old_list() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        cluster.add("other", budget=MONTH)
        async with operator(cluster) as controller:
            await asyncio.sleep(0.2)
            budgets = [BudgetSpec(max_limit=7, reset_duration="1h30m")]
            gateway.commands.add_row(RowSpec(id="new", model_name="gpt-5", provider=PROVIDER, budgets=budgets))
            key = cluster.add("gpt", model="gpt-5", budget=MONTH, deletionPolicy="Restore")
            controller.changed(key)
            await asyncio.sleep(5)
            assert cluster.ready(key) == ("True", "Synced")
            assert gateway.count("POST") == 0
            assert cluster.objects[key]["status"]["baseline"]["budgets"] == [{"maxLimit": 7, "resetDuration": "1h30m"}]
            delete(cluster, controller, key)
            await asyncio.sleep(60)
        assert [one.max_limit for one in gateway.commands.state("new").budgets] == [7]

    play(scene)


def test_after_a_conflict_the_baseline_is_what_somebody_faster_made() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.seed([])

        def overtake() -> None:
            if gateway.count("POST") == 1 and not gateway.commands.rows():
                budgets = [BudgetSpec(max_limit=7, reset_duration="1d")]
                gateway.commands.add_row(RowSpec(id="new", model_name=MODEL, provider=PROVIDER, budgets=budgets))

        gateway.before_write = overtake
        key = cluster.add("gpt", budget=MONTH, deletionPolicy="Restore")
        async with operator(cluster) as controller:
            await asyncio.sleep(30)
            assert cluster.ready(key) == ("True", "Synced")
            assert (gateway.count("POST"), gateway.count("PUT")) == (1, 1)
            assert cluster.objects[key]["status"]["baseline"]["budgets"] == [{"maxLimit": 7, "resetDuration": "1d"}]
            assert "created" not in cluster.objects[key]["status"]
            delete(cluster, controller, key)
            await asyncio.sleep(60)
        assert [(one.max_limit, one.reset_duration) for one in gateway.commands.state("new").budgets] == [(7, "1d")]

    play(scene)


@pytest.mark.parametrize("seen", [True, False])
def test_what_was_created_through_one_connection_is_not_deleted_through_another(*, seen: bool) -> None:
    """Otherwise a gateway of one's own that answers with the id of a real row would have that row deleted."""

    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.seed([])
        cluster.way = OriginConnection(kind="Connection", name="bifrost", uid="u-1", credential="c")
        key = cluster.add("gpt", budget=MONTH, deletionPolicy="Delete")
        async with operator(cluster) as controller:
            await asyncio.sleep(30)
            assert cluster.objects[key]["status"]["created"] is True
            cluster.way = OriginConnection(kind="ClusterConnection", name="bifrost", uid="u-2", credential="c")
            if seen:
                await asyncio.sleep(HOUR)
                assert "created" not in cluster.objects[key]["status"]
                assert cluster.ready(key) == ("True", "Synced")
            delete(cluster, controller, key)
            await asyncio.sleep(60)
        assert len(gateway.commands.rows()) == 1
        assert gateway.count("DELETE") == 0
        assert key not in cluster.objects
        [said] = told(cluster, "TargetMoved" if seen else "NotDeleted")
        assert "ClusterConnection bifrost is used now, and not Connection bifrost" in said
        assert "this resource created it" in said

    play(scene)


def test_a_budget_that_no_spec_could_ask_for_is_not_put_back() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        budgets = [BudgetSpec(max_limit=-5, reset_duration="1M")]
        gateway.commands.seed([RowSpec(id="row", model_name=MODEL, provider=PROVIDER, budgets=budgets)])
        key = cluster.add(
            "gpt",
            budget=MONTH,
            rateLimit={"requestMaxLimit": 9, "requestResetDuration": "1m"},
            deletionPolicy="Restore",
        )
        async with operator(cluster) as controller:
            await asyncio.sleep(30)
            assert cluster.ready(key) == ("True", "Synced")
            delete(cluster, controller, key)
            await asyncio.sleep(60)
        assert [one.max_limit for one in gateway.commands.state("row").budgets] == [100]
        assert gateway.commands.state("row").rate_limit is None, "there was none"
        [said] = told(cluster, "NotRestored")
        assert "budgets[1M].maxLimit was -5 before the first write, which is not greater than 0" in said

    play(scene)


def attempt() -> Attempt:
    """Return the circumstances of a look that nothing stands in the way of."""

    async def nothing(*_: object) -> None:
        return None

    return Attempt(
        key=Key("ModelConfigGovernance", "ns", "gpt"),
        urgent=True,
        failures=0,
        confirm=nothing,
        hold=nothing,
        claim=lambda *_: Contest({}),
        crowded=lambda _: False,
        manager=lambda _: None,
    )


@pytest.mark.parametrize("shown", [True, False])
def test_a_conflict_is_an_outdated_observation_once_the_list_shows_the_row(*, shown: bool) -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        reconciler = GovernanceReconciler(cluster, Clock())
        identity = Identity(MODEL, PROVIDER, Scope.GLOBAL, None)
        if not shown:
            gateway.before_write = lambda: gateway.commands.update_row(GLOBAL_ROW, {"model_name": MODEL})
            gateway.after_write = lambda _: gateway.commands.update_row(GLOBAL_ROW, {"model_name": "hidden"})
        settings = GovernanceSettings(budgets=[Budget(max_limit=1, reset_duration="1d")])
        expected = ObservationOutdated if shown else RemoteFailure
        with pytest.raises(expected):
            await reconciler.write(cluster.client, RowTarget(identity, None, None), settings, attempt())

    play(scene)


def row(model: str, provider: str | None = PROVIDER, id_: str = "row") -> ModelConfig:
    """Return a row of a model."""
    return ModelConfig.from_wire({"id": id_, "model_name": model, "provider": provider, "scope": "global"})


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("GPT-4o", "openai"),
        ("gpt-4o", "OpenAI"),
        ("gpt-4o ", "openai"),
        ("gpt-4o", " openai"),
        ("gpt\u200b-4o", "openai"),
        ("\uff47pt-4o", "openai"),
    ],
)
def test_a_name_that_only_looks_like_another_is_told_exactly(model: str, provider: str) -> None:
    rows = [row(model, provider, "twin"), row("gpt-4o", id_="mine"), row("gpt-4o-mini", id_="far"), row("gpt-4o", None)]
    for there in (rows[1], None):
        target = RowTarget(Identity("gpt-4o", "openai", Scope.GLOBAL, None), None, None, row=there)
        said = warning(rows if there else [rows[0], *rows[2:]], target) or ""
        assert f"model config twin of {model!r} of provider {provider!r}" in said
        assert "case, blanks or invisible characters only" in said


def test_names_that_differ_otherwise_are_nothing_to_tell() -> None:
    rows = [row("gpt-4o", id_="mine"), row("gpt-4o-mini"), row("gpt-4o", None), row("gpt-4o", "azure")]
    target = RowTarget(Identity("gpt-4o", "openai", Scope.GLOBAL, None), None, "mine", row=rows[0])
    assert warning(rows, target) is None


def test_a_name_that_only_looks_like_another_is_told_once() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        key = cluster.add("gpt", model="GPT-4o", budget=MONTH)
        async with operator(cluster):
            await asyncio.sleep(HOUR)
        assert cluster.ready(key) == ("True", "Synced")
        [said] = told(cluster, "SimilarTarget")
        assert f"model config {GLOBAL_ROW} of 'gpt-4o' of provider 'openai'" in said

    play(scene)


def test_a_gateway_whose_list_is_null_gets_its_rows_and_gets_them_again() -> None:
    async def scene(cluster: Cluster, gateway: Gateway) -> None:
        gateway.commands.seed([])
        key = cluster.add("gpt", budget=MONTH, deletionPolicy="Delete")
        async with operator(cluster) as controller:
            await asyncio.sleep(5)
            assert cluster.ready(key) == ("True", "Synced")
            [made] = gateway.commands.rows()
            gateway.commands.delete_row(made["id"])
            await asyncio.sleep(120)
            assert cluster.ready(key) == ("True", "Synced")
            [again] = gateway.commands.rows()
            assert again["id"] != made["id"]
            gateway.commands.delete_row(again["id"])
            delete(cluster, controller, key)
            await asyncio.sleep(60)
        assert key not in cluster.objects, "a row that is gone already keeps nothing"

    play(scene)
