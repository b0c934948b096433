"""What the operator does with model configs of a gateway, in every generation of its API, as a user sees it."""

import pytest

from tests.e2e.stage import GatewayStage
from tests.simulators.bifrost.specs import GLOBAL_ROW, Generation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


@pytest.fixture(params=[1, 2, 3])
def generation(request: pytest.FixtureRequest, gateway: GatewayStage) -> Generation:
    """A generation of the gateway's API, which the gateway has from now on."""
    chosen: Generation = request.param
    gateway.bifrost.set_generation(chosen)
    return chosen


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
    assert status["target"] == {"name": "openai/gpt-5", "modelConfigId": row["id"]}
    assert status["created"] is True
    assert status["response"]["status"] == "200"
    assert status["response"]["message"]
    assert status["observed"] == {
        "budgets": [{"maxLimit": 100, "resetDuration": "1M"}],
        "rateLimit": {"requestMaxLimit": 1000, "requestResetDuration": "1m"},
    }
    assert status["summary"] == {"limit": "$100/1M,1000req/1m", "used": "$0.00,0req"}
    assert [write.method for write in gateway.writes()] == ["POST"]


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
