"""What tests can do to the simulated gateway past its API, and whom it lets in."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.bifrost_gateway import Json, budget, limits
from tests.contract.bifrost_schema import CONFIG, CONFIGS, validate_error
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import (
    CONFIG_ROW,
    GLOBAL_ROW,
    KEY_ROW,
    PROVIDER_ROW,
    AuthMode,
    BudgetSpec,
    RateLimitSpec,
    RowSpec,
)
from tests.simulators.faults import Drop, Respond
from tests.waiting import eventually

ROW = f"{CONFIGS}/{GLOBAL_ROW}"
BASIC = f"Basic {base64.b64encode(b'admin:pw').decode()}"
OTHER_BASIC = f"Basic {base64.b64encode(b'admin:other').decode()}"


@pytest.fixture
def api(bifrost: BifrostSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bifrost.gateway_url, trust_env=False, timeout=10) as client:
        yield client


def guard(bifrost: BifrostSimulator, mode: AuthMode, *, setup_token: str | None = "setup") -> None:  # noqa: S107
    """Let in only who has one of the credentials of these tests, which are no secrets."""
    bifrost.set_auth(mode, password="pw", tokens=["session", "bfst-key"], setup_token=setup_token)  # noqa: S106


def ids(bifrost: BifrostSimulator) -> list[str]:
    return [row["id"] for row in bifrost.rows()]


@pytest.mark.parametrize(
    ("mode", "headers", "status"),
    [
        ("open", {}, 200),
        ("open", {"Authorization": "Bearer any"}, 200),
        ("basic", {"Authorization": BASIC}, 200),
        ("basic", {"Authorization": OTHER_BASIC}, 401),
        ("basic", {"Authorization": "Basic %%%"}, 401),
        ("basic", {"Authorization": "Bearer admin:pw"}, 401),
        ("basic", {"Authorization": "Bearer session"}, 200),
        ("basic", {"Authorization": f"Bearer {BASIC[6:]}"}, 200),
        ("basic", {"Authorization": f"basic {BASIC[6:]}"}, 401),
        ("basic", {"Cookie": "other=1; token=session"}, 200),
        ("basic", {"Cookie": "token=other"}, 401),
        ("basic", {"Authorization": "Basic other", "Cookie": "token=session"}, 401),
        ("basic", {}, 401),
        ("bearer", {"Authorization": "Bearer session"}, 200),
        ("bearer", {"Authorization": "Bearer bfst-key"}, 200),
        ("bearer", {"Authorization": "Bearer other"}, 401),
        ("bearer", {"Authorization": "bearer session"}, 401),
        ("bearer", {"Authorization": "Bearer"}, 401),
        ("bearer", {"Authorization": BASIC}, 200),
        ("bearer", {"Authorization": "Basic session"}, 401),
        ("bearer", {"X-Bifrost-Setup-Token": "session"}, 401),
        ("bearer", {}, 401),
        ("setup_token", {"X-Bifrost-Setup-Token": "setup"}, 200),
        ("setup_token", {"X-Bifrost-Setup-Token": "other"}, 403),
        ("setup_token", {"Authorization": "Bearer setup"}, 401),
        ("setup_token", {}, 401),
    ],
)
def test_only_who_has_a_credential_is_let_in(
    bifrost: BifrostSimulator, api: httpx.Client, mode: AuthMode, headers: dict[str, str], status: int
) -> None:
    guard(bifrost, mode)

    for method, path in (("GET", CONFIGS), ("GET", ROW), ("PUT", ROW)):
        response = api.request(method, path, headers=headers, json={} if method == "PUT" else None)
        assert response.status_code == status
        if status != 200:
            validate_error(status, response.json())
            assert response.json()["extra_fields"] == {"routing_info": {}}
            assert "www-authenticate" not in response.headers


def test_who_logs_in_has_the_session_in_the_cookie_alone(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    guard(bifrost, "basic")
    wrong = api.post("/api/session/login", json={"username": "admin", "password": "other"})
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (401, "Invalid username or password")
    assert api.post("/api/session/login", content="{").status_code == 400

    answered = api.post("/api/session/login", json={"username": "admin", "password": "pw"})

    assert (answered.status_code, answered.json()) == (200, {"message": "Login successful"})
    token = answered.cookies["token"]
    api.cookies.clear()
    assert api.get(CONFIGS).status_code == 401
    assert api.get(CONFIGS, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert api.get(CONFIGS, headers={"Cookie": f"token={token}"}).status_code == 200
    bifrost.set_auth("open")
    off = api.post("/api/session/login", json={"username": "admin", "password": "pw"})
    assert (off.status_code, off.json()["error"]["message"]) == (403, "Authentication is not enabled")


@pytest.mark.parametrize(("version", "status"), [("v1.4.19", 401), ("v1.5.0", 200), ("v1.5.8", 200)])
def test_the_version_is_public_from_v1_5_0_on(
    bifrost: BifrostSimulator, api: httpx.Client, version: str, status: int
) -> None:
    bifrost.set_generation(1)
    bifrost.set_version(version)
    assert api.get("/api/version").status_code == 200

    guard(bifrost, "basic")

    assert api.get("/api/version").status_code == status
    assert api.get("/api/version", headers={"Authorization": BASIC}).json() == version


def test_the_dashboard_is_public(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    """So that a wrong path is no 401, with whatever credentials."""
    guard(bifrost, "basic")

    for headers in ({}, {"Authorization": OTHER_BASIC}):
        assert api.get("/gateway/api/governance/model-configs", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-Bifrost-Setup-Token": "setup"}])
def test_a_gateway_without_a_setup_token_lets_in_nobody(
    bifrost: BifrostSimulator, api: httpx.Client, headers: dict[str, str]
) -> None:
    guard(bifrost, "setup_token", setup_token=None)

    assert api.get(CONFIGS, headers=headers).status_code == 403


@pytest.mark.parametrize("mode", ["basic", "bearer", "setup_token"])
def test_version_and_health_are_public(bifrost: BifrostSimulator, api: httpx.Client, mode: AuthMode) -> None:
    guard(bifrost, mode)

    assert api.get("/api/version").status_code == 200
    assert api.get("/health").status_code == 200
    bifrost.reset()
    assert api.get(CONFIGS).status_code == 200


def test_the_journal_tells_the_credential(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    for headers in (
        {},
        {"Authorization": BASIC},
        {"Authorization": "Bearer session"},
        {"X-Bifrost-Setup-Token": "setup"},
    ):
        api.get(ROW, headers=headers)

    assert [entry.key for entry in bifrost.journal()] == ["", "admin:pw", "session", "setup"]
    assert {entry.template for entry in bifrost.journal()} == {CONFIG}
    assert bifrost.count(method="GET", template_contains="{mc_id}", status=200) == 4
    assert bifrost.peak(key="session", endpoint=f"GET {CONFIG}") == 1


def test_credentials_can_be_added_and_revoked(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    guard(bifrost, "bearer")
    headers = {"Authorization": "Bearer late"}
    assert api.get(ROW, headers=headers).status_code == 401

    bifrost.add_key("late")
    assert api.get(ROW, headers=headers).status_code == 200

    bifrost.revoke_key("late")
    assert api.get(ROW, headers=headers).status_code == 401


def test_requests_are_limited_only_when_told(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    assert {api.get(ROW).status_code for _ in range(150)} == {200}

    bifrost.set_rate(0, retry_after=3, told_in="header")

    response = api.get(ROW)
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    validate_error(429, response.json())


def test_faults_strike_the_gateway_too(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    bifrost.inject(Respond(status=502, body="<html>", headers={"Content-Type": "text/html"}), method="PUT")
    bifrost.inject(Drop(applied=True), method="POST")

    assert api.put(ROW, json={}).status_code == 502
    with pytest.raises(httpx.RemoteProtocolError):
        api.post(CONFIGS, json={"model_name": "made-without-an-answer"})
    assert len(bifrost.find("made-without-an-answer")) == 1


def test_the_gateway_can_be_under_a_prefix() -> None:
    with BifrostSimulator.start(
        prefix="/ai/gateway", generation=1, version="v1.4.0", auth="bearer", tokens=["session"]
    ) as simulator:
        headers = {"Authorization": "Bearer session"}
        assert simulator.gateway_url == f"{simulator.url}/ai/gateway"
        with httpx.Client(base_url=simulator.gateway_url, headers=headers, trust_env=False) as api:
            assert api.get("/api/version").json() == "v1.4.0"
            assert api.get("/health").status_code == 200
            assert "budget" in api.get(ROW).json()["model_config"]
            assert httpx.get(f"{simulator.url}{CONFIGS}", headers=headers, trust_env=False).status_code == 404
            assert simulator.journal(path_contains="/ai/gateway/api/governance")[0].template == CONFIG
            assert api.put(ROW, headers={"Authorization": "Bearer other"}, json={}).status_code == 401
            simulator.set_auth("open")
            simulator.reset()
            assert api.get(ROW, headers={"Authorization": ""}).status_code == 401


def test_rows_can_be_added_past_the_rules(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    spec = RowSpec(
        model_name="gpt-4o",
        provider="openai",
        scope="virtual_key",
        scope_id="vk-new",
        budgets=[BudgetSpec(max_limit=5), BudgetSpec(max_limit=50, reset_duration="1w", current_usage=7)],
        rate_limit=RateLimitSpec(request_max_limit=5, request_reset_duration="1m", request_current_usage=3),
    )

    added, twin = bifrost.add_row(spec), bifrost.add_row(spec)

    assert added != twin
    item = api.get(f"{CONFIGS}/{added}").json()["model_config"]
    assert [one["current_usage"] for one in item["budgets"]] == [0, 7]
    assert item["rate_limit"]["request_current_usage"] == 3
    assert [one["id"] for one in bifrost.find("gpt-4o", "openai", "virtual_key", "vk-new")] == [added, twin]
    # The virtual key is there now, too.
    body = {"model_name": "new", "scope": "virtual_key", "scope_id": "vk-new"}
    assert api.post(CONFIGS, json=body).status_code == 200


def test_a_row_can_be_changed_behind_the_back(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    old = bifrost.state(GLOBAL_ROW)
    month, day = BudgetSpec(max_limit=7, reset_duration="1M"), BudgetSpec(max_limit=1, reset_duration="1d")

    bifrost.update_row(GLOBAL_ROW, budgets=[month, day], provider="azure")

    item = api.get(ROW).json()["model_config"]
    assert (item["provider"], item["model_name"]) == ("azure", "gpt-4o")
    assert [(one["max_limit"], one["current_usage"]) for one in item["budgets"]] == [(7, 12.5), (1, 0)]
    assert item["budgets"][0]["id"] == old.budgets[0].id
    bifrost.update_row(GLOBAL_ROW, rate_limit=RateLimitSpec(request_max_limit=9, request_reset_duration="1h"))
    assert api.get(ROW).json()["model_config"]["rate_limit"]["request_current_usage"] == 40
    bifrost.update_row(GLOBAL_ROW, rate_limit=None)
    assert "rate_limit" not in bifrost.row(GLOBAL_ROW)
    assert bifrost.journal(method="PUT") == []


def test_a_row_can_be_deleted_and_duplicated_behind_the_back(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    twin = bifrost.duplicate_row(GLOBAL_ROW)
    assert [item["id"] for item in bifrost.find("gpt-4o", "openai")] == [GLOBAL_ROW, twin]
    state = bifrost.state(twin)
    assert (state.budgets[0].max_limit, state.budgets[0].current_usage) == (100, 0)
    assert state.budgets[0].id != bifrost.state(GLOBAL_ROW).budgets[0].id

    bifrost.delete_row(GLOBAL_ROW)

    assert api.get(ROW).status_code == 404
    assert ids(bifrost) == [CONFIG_ROW, KEY_ROW, PROVIDER_ROW, twin]


def test_posts_can_miss_each_other(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    body = {"model_name": "gpt-4o", "provider": "openai"}
    bifrost.set_duplicates()
    assert api.post(CONFIGS, json=body).status_code == 200

    bifrost.set_duplicates(allowed=False)

    assert api.post(CONFIGS, json=body).status_code == 409
    assert len(bifrost.find("gpt-4o", "openai")) == 2


def test_a_restart_from_config_prunes_what_the_file_does_not_have(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    api.post(CONFIGS, json={"model_name": "made-through-the-api"})
    bifrost.set_usage(CONFIG_ROW, budget={"1d": 4})
    api.put(f"{CONFIGS}/{CONFIG_ROW}", json={"budgets": [budget(99, "1d")], "rate_limit": limits(5)})

    other = bifrost.add_row(RowSpec(model_name="o3", budgets=[BudgetSpec(max_limit=5, current_usage=3)], config=True))
    bifrost.set_usage(other, budget={"1d": 4.5})

    bifrost.restart_from_config()

    assert ids(bifrost) == [CONFIG_ROW, other]
    assert bifrost.state(other).budgets[0].current_usage == 4.5
    state = bifrost.state(CONFIG_ROW)
    assert state.config
    assert (state.budgets[0].max_limit, state.budgets[0].current_usage) == (10, 4)
    assert state.rate_limit is None
    api.delete(f"{CONFIGS}/{CONFIG_ROW}")
    bifrost.restart_from_config()
    assert bifrost.state(CONFIG_ROW).budgets[0].current_usage == 0


def test_a_foreign_budget_keeps_v1_5_16_from_starting_again(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    bifrost.seed([RowSpec(id=CONFIG_ROW, model_name="m", config=True), RowSpec(id=GLOBAL_ROW, model_name="n")])
    bifrost.set_version("v1.5.16")
    assert bifrost.restart_from_config() is None
    assert ids(bifrost) == [CONFIG_ROW]
    api.post(CONFIGS, json={"model_name": "made-through-the-api", "budgets": [budget(5, "1d")]})

    assert bifrost.restart_from_config() == "fatal: failed to prune governance config"

    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            api.get(CONFIGS)
    bifrost.set_version(None)
    bifrost.clear_faults()
    assert bifrost.restart_from_config() is None
    assert ids(bifrost) == [CONFIG_ROW]


def test_usage_can_be_set_and_reset(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    bifrost.set_usage(GLOBAL_ROW, budget={"1M": 99.5, "1d": 5}, token_usage=7)

    def used() -> tuple[object, ...]:
        item: Json = api.get(ROW).json()["model_config"]
        limit = item["rate_limit"]
        return item["budgets"][0]["current_usage"], limit["token_current_usage"], limit["request_current_usage"]

    before = api.get(ROW).json()["model_config"]
    assert used() == (99.5, 7, 40)
    bifrost.reset_window(GLOBAL_ROW)
    assert used() == (0, 0, 0)
    after = api.get(ROW).json()["model_config"]
    assert after["budgets"][0]["last_reset"] > before["budgets"][0]["last_reset"]
    assert after["rate_limit"]["token_last_reset"] > before["rate_limit"]["token_last_reset"]


def test_traffic_uses_budgets_and_limits(bifrost: BifrostSimulator) -> None:
    bifrost.set_traffic(dollars_per_second=1, tokens_per_second=100_000, requests_per_second=1000)
    eventually(lambda: bifrost.state(CONFIG_ROW).budgets[0].current_usage, timeout=5)
    moving = bifrost.state(GLOBAL_ROW)
    assert moving.rate_limit is not None
    eventually(lambda: bifrost.state(GLOBAL_ROW).rate_limit != moving.rate_limit, timeout=5)

    bifrost.set_traffic()

    still = bifrost.state(GLOBAL_ROW)
    assert still.rate_limit is not None
    assert (still.rate_limit.token_current_usage or 0) > (moving.rate_limit.token_current_usage or 0)
    assert bifrost.state(GLOBAL_ROW) == still


def test_the_gateway_can_be_reset(bifrost: BifrostSimulator, api: httpx.Client) -> None:
    first = bifrost.state(KEY_ROW)
    bifrost.set_generation(1)
    bifrost.set_version("v1.0.0")
    bifrost.set_traffic(dollars_per_second=1)
    bifrost.set_duplicates()
    bifrost.add_virtual_key("vk-late", "late")
    bifrost.seed([])
    assert bifrost.rows() == []

    bifrost.reset()

    assert ids(bifrost) == [GLOBAL_ROW, CONFIG_ROW, KEY_ROW, PROVIDER_ROW]
    assert bifrost.state(KEY_ROW).model_copy(update={"budgets": []}) == first.model_copy(update={"budgets": []})
    assert api.get("/api/version").json() == "v2.2.4"
    assert api.post(CONFIGS, json={"model_name": "gpt-4o", "provider": "openai"}).status_code == 409
    body = {"model_name": "new", "scope": "virtual_key", "scope_id": "vk-late"}
    assert api.post(CONFIGS, json=body).status_code == 400


def test_commands_that_make_no_sense_are_errors(bifrost: BifrostSimulator) -> None:
    with pytest.raises(AssertionError, match="not found"):
        bifrost.row("none")
    with pytest.raises(AssertionError, match="set_options"):
        bifrost.command("set_options", changes={"generation": 4})
    with pytest.raises(AssertionError, match="update_row"):
        bifrost.command("update_row", mc_id=GLOBAL_ROW, changes={"budgets": "many"})
