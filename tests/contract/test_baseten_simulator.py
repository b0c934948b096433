"""What the simulator does with writes over time, how things change behind a client's back, and whom it lets in."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.baseten_examples import CHAIN_ENVIRONMENT, DEPLOYMENTS, ENVIRONMENT
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    Cleanup,
    DeploymentSpec,
    EnvironmentSpec,
    ErrorShape,
    WorldSpec,
)
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

FREE = f"{DEPLOYMENTS}/d-free"
CHAINLETS = f"{CHAIN_ENVIRONMENT}/chainlet_settings/autoscaling_settings"
NEVER = 3600


def patch(api: httpx.Client, deployment: str, **settings: int) -> str:
    """Write settings of a deployment and return the status."""
    response = api.patch(f"{DEPLOYMENTS}/{deployment}/autoscaling_settings", json=settings)
    assert response.status_code == 200, response.text
    return str(response.json()["status"])


def patch_environment(api: httpx.Client, name: str = "production", **settings: int) -> str:
    """Write settings of an environment and return the status."""
    path = f"/v1/models/m-greeter/environments/{name}"
    response = api.patch(path, json={"autoscaling_settings": settings})
    assert response.status_code == 200, response.text
    return str(response.json()["status"])


def patch_chainlets(api: httpx.Client, **chainlets: dict[str, int]) -> httpx.Response:
    """Write settings of chainlets."""
    updates = [{"chainlet_name": name, "autoscaling_settings": settings} for name, settings in chainlets.items()]
    return api.patch(CHAINLETS, json={"updates": updates})


def max_replica(api: httpx.Client, path: str) -> int:
    """Read one of the settings."""
    return int(api.get(path).json()["autoscaling_settings"]["max_replica"])


def test_a_read_right_after_a_write_shows_the_old_value(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(NEVER)
    assert patch(api, "d-free", max_replica=4) == "ACCEPTED"
    assert max_replica(api, FREE) == 1
    assert patch(api, "d-free", max_replica=4) == "UNCHANGED"

    baseten.set_converge(0.1)
    assert patch(api, "d-free", max_replica=5) == "ACCEPTED"
    eventually(lambda: max_replica(api, FREE) == 5, timeout=5)


def test_the_latest_of_several_writes_comes_out(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(NEVER)
    assert patch(api, "d-free", max_replica=4, scale_down_delay=10) == "ACCEPTED"
    baseten.set_converge(0)
    assert patch(api, "d-free", max_replica=5) == "ACCEPTED"

    settings = api.get(FREE).json()["autoscaling_settings"]
    assert (settings["max_replica"], settings["scale_down_delay"]) == (5, 10)


def test_a_change_behind_the_back_is_at_once(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(NEVER)
    patch(api, "d-free", max_replica=4)
    baseten.set_settings({"max_replica": 9, "max_scale_down_rate": 1.5}, model="m-greeter", deployment="d-free")

    assert api.get(FREE).json()["autoscaling_settings"]["max_scale_down_rate"] == 1.5
    assert max_replica(api, FREE) == 9
    settings = baseten.settings(model="m-greeter", deployment="d-free")
    assert settings is not None
    assert settings["max_replica"] == 9


def test_a_write_is_queued_until_the_deployment_is_built(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0)
    new = DeploymentSpec(id="d-new", status="BUILDING", settings=None)
    baseten.add_deployment("m-greeter", new)

    assert patch(api, "d-new", max_replica=4) == "QUEUED"
    assert patch(api, "d-new", max_replica=4) == "UNCHANGED"
    baseten.set_deployment_status("m-greeter", "d-new", "LOADING_MODEL")
    assert api.get(f"{DEPLOYMENTS}/d-new").json()["autoscaling_settings"] is None

    baseten.set_deployment_status("m-greeter", "d-new", "ACTIVE")
    assert max_replica(api, f"{DEPLOYMENTS}/d-new") == 4
    assert patch(api, "d-new", max_replica=5) == "ACCEPTED"


def test_an_environment_waits_for_the_build_of_its_deployment(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_deployment_status("m-greeter", "d-production", "DEPLOYING")
    assert patch_environment(api, max_replica=4) == "QUEUED"
    assert max_replica(api, ENVIRONMENT) == 1

    baseten.set_deployment_status("m-greeter", "d-production", "ACTIVE")
    assert max_replica(api, ENVIRONMENT) == 4
    assert max_replica(api, f"{DEPLOYMENTS}/production") == 4


def test_the_deployment_of_an_environment_follows_it(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0)
    assert patch_environment(api, max_replica=4) == "ACCEPTED"
    assert max_replica(api, f"{DEPLOYMENTS}/production") == 4

    assert patch(api, "production", max_replica=5) == "ACCEPTED"
    assert max_replica(api, ENVIRONMENT) == 4


def test_a_promotion_queues_writes_and_overwrites_the_deployment(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0)
    assert patch(api, "d-free", max_replica=9, scale_down_delay=30) == "ACCEPTED"

    baseten.start_promotion("m-greeter", "production", "d-free", status="RAMPING_UP", percent=50)
    assert patch_environment(api, max_replica=4) == "QUEUED"
    assert patch(api, "d-free", max_replica=8) == "QUEUED"
    assert max_replica(api, ENVIRONMENT) == 1

    baseten.finish_promotion("m-greeter", "production")
    environment = api.get(ENVIRONMENT).json()
    assert environment["in_progress_promotion"] is None
    assert environment["candidate_deployment"] is None
    assert environment["current_deployment"]["id"] == "d-free"
    assert environment["autoscaling_settings"]["max_replica"] == 4
    assert environment["current_deployment"]["autoscaling_settings"] == environment["autoscaling_settings"]
    assert api.get(f"{DEPLOYMENTS}/production").json()["id"] == "d-free"
    assert api.get(f"{DEPLOYMENTS}/d-production").json()["environment"] is None


def test_a_failed_promotion_leaves_the_deployment(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.start_promotion("m-greeter", "production", "d-free")
    assert patch_environment(api, max_replica=4) == "QUEUED"

    baseten.finish_promotion("m-greeter", "production", succeeded=False)
    assert api.get(f"{DEPLOYMENTS}/production").json()["id"] == "d-production"
    assert max_replica(api, ENVIRONMENT) == max_replica(api, f"{DEPLOYMENTS}/production") == 4
    assert max_replica(api, FREE) == 1


def test_the_end_of_a_build_does_not_end_the_wait_for_a_promotion(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_deployment_status("m-greeter", "d-free", "BUILDING")
    baseten.start_promotion("m-greeter", "production", "d-free")
    assert patch(api, "d-free", max_replica=4) == "QUEUED"

    baseten.set_deployment_status("m-greeter", "d-free", "ACTIVE")
    assert max_replica(api, FREE) == 1

    baseten.finish_promotion("m-greeter", "production", succeeded=False)
    assert max_replica(api, FREE) == 4


def test_the_end_of_a_promotion_does_not_end_the_wait_for_a_build(baseten: BasetenSimulator, api: httpx.Client) -> None:
    for deployment in ("d-free", "d-production"):
        baseten.set_deployment_status("m-greeter", deployment, "BUILDING")
    baseten.start_promotion("m-greeter", "production", "d-free")
    assert patch(api, "d-free", max_replica=4) == "QUEUED"
    assert patch_environment(api, max_replica=5) == "QUEUED"

    baseten.finish_promotion("m-greeter", "production", succeeded=False)
    assert (max_replica(api, FREE), max_replica(api, ENVIRONMENT)) == (1, 1)

    for deployment in ("d-free", "d-production"):
        baseten.set_deployment_status("m-greeter", deployment, "ACTIVE")
    assert (max_replica(api, FREE), max_replica(api, ENVIRONMENT)) == (4, 5)
    assert max_replica(api, f"{DEPLOYMENTS}/production") == 5


def test_a_schedule_leaves_the_settings_of_its_environment_alone(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0)
    patch_environment(api, max_replica=4, scale_down_delay=100)
    baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 2})
    assert max_replica(api, ENVIRONMENT) == 4
    assert max_replica(api, f"{DEPLOYMENTS}/production") == 2

    # What the schedule overrides reaches the deployment later, what it does not at once.
    assert patch_environment(api, max_replica=6, scale_down_delay=200) == "ACCEPTED"
    environment = api.get(ENVIRONMENT).json()
    applied = environment["autoscaling_schedules"]["applied_state"]
    assert (applied["schedule_id"], applied["autoscaling_settings"]["max_replica"]) == ("night", 2)
    assert applied["autoscaling_settings"]["scale_down_delay"] == 200
    assert applied["autoscaling_settings"] == environment["current_deployment"]["autoscaling_settings"]
    assert environment["autoscaling_settings"]["max_replica"] == 6

    baseten.set_schedule("m-greeter", "production", None)
    environment = api.get(ENVIRONMENT).json()
    assert environment["autoscaling_schedules"]["applied_state"]["schedule_id"] is None
    assert [schedule["name"] for schedule in environment["autoscaling_schedules"]["schedules"]] == ["night"]
    assert environment["current_deployment"]["autoscaling_settings"] == environment["autoscaling_settings"]
    assert environment["autoscaling_settings"]["max_replica"] == 6


def test_one_window_follows_another(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 2})
    baseten.set_schedule("m-greeter", "production", "day", {"scale_down_delay": 60})

    state = api.get(ENVIRONMENT).json()["autoscaling_schedules"]["applied_state"]
    assert state["schedule_id"] == "day"
    assert (state["autoscaling_settings"]["max_replica"], state["autoscaling_settings"]["scale_down_delay"]) == (1, 60)


def test_a_deployment_promoted_while_a_schedule_holds_gets_what_it_overrides(
    baseten: BasetenSimulator, api: httpx.Client
) -> None:
    baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 2})
    baseten.start_promotion("m-greeter", "production", "d-free")
    baseten.finish_promotion("m-greeter", "production")

    assert api.get(f"{DEPLOYMENTS}/production").json()["id"] == "d-free"
    assert max_replica(api, FREE) == 2
    assert max_replica(api, ENVIRONMENT) == 1


def test_settings_that_come_with_a_promotion_stay_with_the_environment(
    baseten: BasetenSimulator, api: httpx.Client
) -> None:
    baseten.start_promotion("m-greeter", "production", "d-free", settings={"max_replica": 7})
    baseten.start_promotion("m-greeter", "production", "d-free", status="RAMPING_UP", percent=60)
    assert max_replica(api, ENVIRONMENT) == 1
    baseten.finish_promotion("m-greeter", "production")
    assert (max_replica(api, ENVIRONMENT), max_replica(api, FREE)) == (7, 7)

    baseten.push("m-greeter", "production", DeploymentSpec(id="d-pushed", status="BUILDING"), {"max_replica": 9})
    environment = api.get(ENVIRONMENT).json()
    assert environment["candidate_deployment"]["id"] == "d-pushed"
    baseten.finish_promotion("m-greeter", "production", succeeded=False)
    assert max_replica(api, ENVIRONMENT) == 7


@pytest.mark.parametrize(
    ("cleanup", "status"), [("KEEP", "ACTIVE"), ("SCALE_TO_ZERO", "SCALED_TO_ZERO"), ("DEACTIVATE", "INACTIVE")]
)
def test_what_becomes_of_a_deployment_that_was_replaced(
    baseten: BasetenSimulator, api: httpx.Client, cleanup: Cleanup, status: str
) -> None:
    baseten.add_environment("m-greeter", EnvironmentSpec(name="production", current="d-production", cleanup=cleanup))
    baseten.start_promotion("m-greeter", "production", "d-free")
    assert api.get(ENVIRONMENT).json()["promotion_settings"]["promotion_cleanup_strategy"] == cleanup

    baseten.finish_promotion("m-greeter", "production")

    replaced = api.get(f"{DEPLOYMENTS}/d-production").json()
    assert (replaced["status"], replaced["active_replica_count"]) == (status, 1 if cleanup == "KEEP" else 0)
    assert api.get(FREE).json()["status"] == "ACTIVE"


def test_replicas_follow_the_status_unless_they_are_given(baseten: BasetenSimulator, api: httpx.Client) -> None:
    def serving() -> tuple[str, int]:
        body = api.get(FREE).json()
        return body["status"], body["active_replica_count"]

    assert serving() == ("ACTIVE", 1)
    baseten.set_settings({"min_replica": 3, "max_replica": 5}, model="m-greeter", deployment="d-free")
    assert serving() == ("ACTIVE", 3)
    baseten.set_deployment_status("m-greeter", "d-free", "UNHEALTHY", replicas=2)
    assert serving() == ("UNHEALTHY", 2)
    baseten.set_deployment_status("m-greeter", "d-free", "INACTIVE")
    assert serving() == ("INACTIVE", 0)
    baseten.set_chainlet_status("c-hello", "production", "RandInt", "ACTIVE", replicas=4)
    chainlets = api.get(CHAIN_ENVIRONMENT).json()["current_deployment"]["chainlets"]
    assert [chainlet["active_replica_count"] for chainlet in chainlets] == [1, 4]


def test_a_failed_promotion_of_a_chain_leaves_its_deployment(baseten: BasetenSimulator, api: httpx.Client) -> None:
    before = api.get(CHAIN_ENVIRONMENT).json()["current_deployment"]
    baseten.start_chain_promotion("c-hello", "production")
    assert patch_chainlets(api, RandInt={"max_replica": 4}).json()["status"] == "QUEUED"
    baseten.start_chain_promotion("c-hello", "production", status="FAILED")
    assert patch_chainlets(api, HelloWorld={"max_replica": 4}).json()["status"] == "ACCEPTED"

    baseten.finish_chain_promotion("c-hello", "production", succeeded=False)

    after = api.get(CHAIN_ENVIRONMENT).json()["current_deployment"]
    assert after["id"] == before["id"]
    assert after["chainlets"][1]["autoscaling_settings"]["max_replica"] == 4


def test_chainlets_are_written_together(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0)
    both = {"HelloWorld": {"max_replica": 4}, "RandInt": {"max_replica": 5}}
    assert patch_chainlets(api, **both).json()["status"] == "ACCEPTED"
    assert patch_chainlets(api, **both).json()["status"] == "UNCHANGED"

    baseten.set_chainlet_status("c-hello", "production", "RandInt", "BUILDING")
    assert patch_chainlets(api, HelloWorld={"max_replica": 6}, RandInt={"max_replica": 6}).json()["status"] == "QUEUED"
    where = {"chain": "c-hello", "environment": "production"}
    values = [baseten.settings(**where, chainlet=name) for name in ("HelloWorld", "RandInt")]
    assert [value and value["max_replica"] for value in values] == [6, 5]

    baseten.set_chainlet_status("c-hello", "production", "RandInt", "ACTIVE")
    chainlets = api.get(CHAIN_ENVIRONMENT).json()["chainlet_settings"]
    assert [chainlet["autoscaling_settings"]["max_replica"] for chainlet in chainlets] == [6, 6]


def test_chainlets_wait_for_the_promotion_of_the_chain(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.start_chain_promotion("c-hello", "production")
    assert patch_chainlets(api, RandInt={"max_replica": 4}).json()["status"] == "QUEUED"

    baseten.finish_chain_promotion("c-hello", "production")
    settings = baseten.settings(chain="c-hello", environment="production", chainlet="RandInt")
    assert settings is not None
    assert settings["max_replica"] == 4


@pytest.mark.parametrize("wrong", [{"Nobody": {"max_replica": 2}}, {"RandInt": {"min_replica": 2}}])
def test_one_wrong_chainlet_refuses_the_batch(
    baseten: BasetenSimulator, api: httpx.Client, wrong: dict[str, dict[str, int]]
) -> None:
    baseten.set_converge(0)
    response = patch_chainlets(api, HelloWorld={"max_replica": 4}, **wrong)

    assert response.status_code == 400
    assert ("Nobody" in wrong) == ("Nobody" in response.json()["message"])
    settings = baseten.settings(chain="c-hello", environment="production", chainlet="HelloWorld")
    assert settings is not None
    assert settings["max_replica"] == 1


def test_the_organisation_may_limit_replicas(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_max_replica_cap(5)
    assert patch(api, "d-free", max_replica=5) == "ACCEPTED"

    response = api.patch(f"{FREE}/autoscaling_settings", json={"max_replica": 6})
    assert response.status_code == 400
    assert "limit of 5" in response.json()["message"]


@pytest.mark.parametrize("which", ["development", "d-development"])
@pytest.mark.parametrize(
    "replicas", [{"max_replica": 3}, {"min_replica": 0}, {"max_replica": 1, "scale_down_delay": 9}]
)
def test_development_deployments_have_no_replicas_to_set(
    baseten: BasetenSimulator, api: httpx.Client, which: str, replicas: dict[str, int]
) -> None:
    path = f"{DEPLOYMENTS}/{which}/autoscaling_settings"
    response = api.patch(path, json=replicas)
    assert response.status_code == 400
    assert "min_replica is fixed at 0 and max_replica at 1" in response.json()["message"]
    assert baseten.settings(model="m-greeter", deployment="development") == baseten.settings(
        model="m-greeter", deployment="d-free"
    )

    assert patch(api, which, scale_down_delay=30, concurrency_target=2) == "ACCEPTED"
    assert api.patch(path, json={"max_replica": None, "autoscaling_window": 30}).json()["status"] == "ACCEPTED"
    baseten.set_strict_development(strict=False)
    assert api.patch(path, json=replicas).status_code == 200


def test_restricted_environments_may_not_be_changed(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_restricted(model="m-greeter", environment="production")
    baseten.set_restricted(chain="c-hello", environment="production")

    responses = [
        api.patch(ENVIRONMENT, json={"autoscaling_settings": {"max_replica": 2}}),
        api.patch(f"{DEPLOYMENTS}/production/autoscaling_settings", json={"max_replica": 2}),
        patch_chainlets(api, RandInt={"max_replica": 2}),
    ]
    assert [response.status_code for response in responses] == [403, 403, 403]
    assert api.get(ENVIRONMENT).status_code == 200
    baseten.set_restricted(model="m-greeter", environment="production", restricted=False)
    assert patch_environment(api, max_replica=2) == "ACCEPTED"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/models/none/deployments",
        f"{DEPLOYMENTS}/none",
        "/v1/models/m-greeter/environments/none",
        "/v1/chains/none/environments",
        "/v1/chains/c-hello/environments/none",
        "/v1/models/",
    ],
)
def test_what_is_not_there_is_not_found(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 404


def test_writes_to_what_is_not_there_are_not_found(api: httpx.Client) -> None:
    for path in (f"{DEPLOYMENTS}/none/autoscaling_settings", CHAINLETS.replace("c-hello", "none")):
        assert api.patch(path, content='{"updates": []}' if "chains" in path else "{}").status_code == 404
    assert api.patch("/v1/models/none/environments/production", json={}).status_code == 404
    assert api.put(ENVIRONMENT, json={}).status_code == 405


def test_the_world_can_be_changed(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_environment("m-greeter", EnvironmentSpec(name="canary", current="d-free", settings={"max_replica": 3}))
    baseten.add_chain_environment("c-hello", ChainEnvironmentSpec(name="canary"))
    baseten.add_chainlet("c-hello", "canary", ChainletSpec(name="New", settings={"max_replica": 3}))
    assert max_replica(api, "/v1/models/m-greeter/environments/canary") == 3
    canary = api.get("/v1/chains/c-hello/environments/canary").json()
    assert canary["chainlet_settings"][0]["autoscaling_settings"]["max_replica"] == 3

    baseten.remove_chainlet("c-hello", "canary", "New")
    baseten.remove_environment("m-greeter", "canary")
    baseten.remove_deployment("m-greeter", "d-free")
    assert api.get(FREE).status_code == 404
    assert api.get("/v1/models/m-greeter/environments/canary").status_code == 404
    baseten.remove_model("m-greeter")
    baseten.remove_chain("c-hello")
    baseten.add_chain(id="c-new", name="new")
    assert api.get("/v1/models").json() == {"models": []}
    assert [chain["id"] for chain in api.get("/v1/chains").json()["chains"]] == ["c-new"]
    baseten.seed(WorldSpec())
    assert api.get("/v1/chains").json() == {"chains": []}


def ids(api: httpx.Client, path: str, field: str, **query: str) -> list[str]:
    """Return the ids in a list."""
    return [thing["id"] for thing in api.get(path, params=query).json()[field]]


def test_lists_can_be_narrowed_to_a_name(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_model(id="m-theirs", name="greeter", team="Other Team")
    baseten.add_model(id="m-more", name="greeter 2")
    assert ids(api, "/v1/models", "models", name="greeter") == ["m-greeter", "m-theirs"]
    assert ids(api, "/v1/models", "models", name="greeter 2") == ["m-more"]
    assert ids(api, "/v1/models", "models", name="Greeter") == []
    assert ids(api, DEPLOYMENTS, "deployments", name="v1") == ["d-free"]
    assert ids(api, "/v1/teams", "teams", name="Other Team") == ["t-other-team"]
    assert ids(api, "/v1/teams/t-other-team/models", "models", name="greeter") == ["m-theirs"]
    # Chains have no such filter.
    assert ids(api, "/v1/chains", "chains", name="other") == ["c-hello"]


def test_a_team_has_models_of_its_own(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_team(id="T1", name="speech")
    baseten.add_model(id="m-theirs", name="greeter", team="speech")
    baseten.add_chain(id="c-theirs", name="hello", team="speech")

    assert [(team["id"], team["default"]) for team in api.get("/v1/teams").json()["teams"]] == [
        ("t-default", True),
        ("T1", False),
    ]
    assert api.get("/v1/teams/T1").json()["name"] == "speech"
    assert ids(api, "/v1/teams/T1/models", "models") == ["m-theirs"]
    assert ids(api, "/v1/teams/t-default/models", "models") == ["m-greeter"]
    assert api.get("/v1/chains/c-theirs").json()["team_name"] == "speech"
    assert api.get("/v1/teams/none/models").status_code == 404


def test_names_are_unique_within_a_team(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_model(id="m-other", name="other")
    baseten.add_model(id="m-theirs", name="theirs", team="speech")

    response = api.patch("/v1/models/m-other", json={"name": "greeter"})
    assert response.status_code == 400
    assert "greeter" in response.json()["message"]
    assert api.patch("/v1/models/m-theirs", json={"name": "greeter"}).status_code == 200
    assert api.patch("/v1/models/m-other", json={"name": "other"}).status_code == 200
    assert api.patch("/v1/models/m-other", json={}).json()["name"] == "other"


def test_names_move_and_ids_stay(baseten: BasetenSimulator, api: httpx.Client) -> None:
    before = api.get(DEPLOYMENTS).json()
    baseten.rename_model("m-greeter", "old greeter")
    baseten.add_model(id="m-new", name="greeter")
    baseten.rename_chain("c-hello", "old hello")

    assert ids(api, "/v1/models", "models", name="greeter") == ["m-new"]
    assert api.get("/v1/models/m-greeter").json()["name"] == "old greeter"
    assert api.get(DEPLOYMENTS).json() == before
    assert api.get("/v1/chains/c-hello").json()["name"] == "old hello"


def test_names_stay_and_ids_change(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_settings({"max_replica": 9}, model="m-greeter", environment="production")
    baseten.recreate_model("m-greeter", "m-2")
    baseten.recreate_chain("c-hello", "c-2")

    assert api.get(DEPLOYMENTS).status_code == 404
    assert ids(api, "/v1/models", "models", name="greeter") == ["m-2"]
    production = api.get("/v1/models/m-2/deployments/production").json()
    assert (production["id"], production["name"]) == ("m-2-d-production", "v2")
    assert max_replica(api, "/v1/models/m-2/environments/production") == 1
    assert ids(api, "/v1/chains", "chains") == ["c-2"]
    assert len(api.get("/v1/chains/c-2/environments/production").json()["chainlet_settings"]) == 2


REFUSED = "VALIDATION_ERROR"
REFUSALS: dict[ErrorShape, Callable[[str], object]] = {
    "code": lambda text: {"code": REFUSED, "message": text},
    "details": lambda text: {"code": REFUSED, "message": "The request was refused.", "details": [{"message": text}]},
    "errors": lambda text: {"errors": [{"code": REFUSED, "message": text}]},
    "control plane": lambda text: {"error": REFUSED, "message": text},
}


@pytest.mark.parametrize("shape", REFUSALS)
def test_refusals_have_the_form_that_is_asked_for(
    baseten: BasetenSimulator, api: httpx.Client, shape: ErrorShape
) -> None:
    def refused() -> Any:
        response = api.patch(f"{FREE}/autoscaling_settings", json={"max_replica": 0})
        assert response.status_code == 400
        return response.json()

    text = refused()["message"]
    baseten.set_error_shape(shape)

    assert "max_replica" in text
    assert refused() == REFUSALS[shape](text)


def test_commands_that_make_no_sense_are_errors(baseten: BasetenSimulator) -> None:
    with pytest.raises(AssertionError, match="m-none"):
        baseten.remove_model("m-none")
    with pytest.raises(AssertionError, match="no command"):
        baseten.command("nonsense")
    with pytest.raises(AssertionError, match="set_options"):
        baseten.set_converge("soon")  # type: ignore[arg-type]  # what a test must not get away with


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer test-key", 200),
        ("Api-Key test-key", 200),
        ("Bearer second", 200),
        ("Bearer revoked", 401),
        ("Bearer wrong", 401),
        ("Basic test-key", 401),
        ("test-key", 401),
        ("", 401),
    ],
)
def test_only_valid_keys_are_let_in(baseten: BasetenSimulator, authorization: str, status: int) -> None:
    baseten.add_key("second")
    baseten.add_key("revoked")
    baseten.revoke_key("revoked")

    headers = {"Authorization": authorization} if authorization else {}
    response = httpx.get(f"{baseten.url}/v1/models", headers=headers, trust_env=False)

    assert response.status_code == status
    assert baseten.journal()[0].headers.get("authorization", "") == authorization
