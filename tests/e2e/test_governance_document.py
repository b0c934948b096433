"""The vendor's document "Update model config", as the gateway's first generation has it: what is sent and what comes back."""

import pytest

from tests.e2e.stage import GatewayStage
from tests.simulators.bifrost.specs import GLOBAL_ROW

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


def test_the_documented_request_arrives_and_its_answer_comes_back(gateway: GatewayStage) -> None:
    gateway.bifrost.set_generation(1)
    gateway.open()
    gateway.mcg(
        "gpt",
        "gpt-4o",
        budget={"maxLimit": 123.5, "resetDuration": "1d"},
        rateLimit={
            "tokenMaxLimit": 123,
            "tokenResetDuration": "1h",
            "requestMaxLimit": 45,
            "requestResetDuration": "1m",
        },
    )
    status = gateway.until("mcg", "gpt", "Synced")["status"]

    [write] = gateway.writes()
    assert (write.method, write.path) == ("PUT", f"/api/governance/model-configs/{GLOBAL_ROW}")
    assert write.headers["content-type"] == "application/json"
    assert write.body == {
        "model_name": "gpt-4o",
        "provider": "openai",
        "budget": {"max_limit": 123.5, "reset_duration": "1d"},
        "rate_limit": {
            "token_max_limit": 123,
            "token_reset_duration": "1h",
            "request_max_limit": 45,
            "request_reset_duration": "1m",
        },
    }
    assert (status["response"]["status"], status["response"]["message"]) == ("200", write.response["message"])
    row = write.response["model_config"]
    assert status["usage"] == [
        {
            "limit": "budget",
            "resetDuration": "1d",
            "maxLimit": 123.5,
            "currentUsage": 12.5,
            "lastReset": row["budget"]["last_reset"],
        },
        {
            "limit": "tokens",
            "resetDuration": "1h",
            "maxLimit": 123,
            "currentUsage": 5000,
            "lastReset": row["rate_limit"]["token_last_reset"],
        },
        {
            "limit": "requests",
            "resetDuration": "1m",
            "maxLimit": 45,
            "currentUsage": 40,
            "lastReset": row["rate_limit"]["request_last_reset"],
        },
    ]
