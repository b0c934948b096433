"""The Bifrost client against the simulated gateway over real sockets, in each generation of its API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from setpoint.remotes import errors
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.bifrost_shapes import Generation as Shape
from setpoint.remotes.bifrost_shapes import Identity, ModelConfig
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources.model_config_governance import Budget, GovernanceSettings, RateLimit, Scope
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import GLOBAL_ROW, Generation
from tests.simulators.faults import Respond

IDENTITY = Identity("gpt-5", "openai", Scope.GLOBAL, None)
MONTH = Budget(max_limit=10.5, reset_duration="1M")
RATE = RateLimit(request_max_limit=9_223_372_036_854_775_807, request_reset_duration="1m")
BOTH = GovernanceSettings(budgets=[MONTH], rate_limit=RATE)


@pytest.fixture(params=[1, 2, 3])
def generation(request: pytest.FixtureRequest, bifrost: BifrostSimulator) -> Generation:
    """A generation of the gateway's API, which the gateway has from now on."""
    chosen: Generation = request.param
    bifrost.set_generation(chosen)
    return chosen


@asynccontextmanager
async def connected(url: str, credential: Credential | None = None) -> AsyncIterator[Bifrost]:
    client = Bifrost.connect(
        url=url,
        credential=credential or Credential.none(),
        requests_per_second=1000,
        timeout=5,
        limits=Limits(),
    )
    try:
        yield client
    finally:
        await client.aclose()


def limits(row: ModelConfig) -> GovernanceSettings:
    """Return a row's budgets and rate limit; whether they are aligned is told beside them."""
    return row.settings.model_copy(update={"calendar_aligned": None})


async def the_row(client: Bifrost) -> ModelConfig:
    return await client.get(GLOBAL_ROW)


async def test_a_row_is_created_read_changed_and_deleted(bifrost: BifrostSimulator, generation: Generation) -> None:
    async with connected(bifrost.gateway_url) as client:
        answer, created = await client.create(IDENTITY, BOTH, None, urgent=True)
        assert (answer.status, bool(answer.message)) == ("200", True)
        assert limits(created) == BOTH
        assert limits(await client.get(created.id)) == BOTH
        assert created.id in {row.id for row in await client.rows()}

        bifrost.set_usage(created.id, budget={"1M": 3}, request_usage=4)
        renamed = GovernanceSettings(budgets=[Budget(max_limit=20, reset_duration="1w")])
        _, changed = await client.update(created, renamed, urgent=True)
        assert limits(changed) == GovernanceSettings(budgets=renamed.budgets, rate_limit=RATE)
        assert [(window.limit, window.current_usage) for window in changed.usage] == [("budget", 3), ("requests", 4)]

        nothing = GovernanceSettings(budgets=[], rate_limit=RateLimit())
        _, emptied = await client.update(changed, nothing, urgent=True)
        assert limits(emptied) == nothing

        await client.delete(created.id, urgent=True)
        with pytest.raises(errors.TargetNotFound):
            await client.get(created.id)
        with pytest.raises(errors.TargetNotFound):
            await client.update(created, BOTH, urgent=True)
        with pytest.raises(errors.TargetNotFound):
            await client.delete(created.id, urgent=True)


async def test_parts_that_are_not_sent_stay(bifrost: BifrostSimulator, generation: Generation) -> None:
    async with connected(bifrost.gateway_url) as client:
        before = await the_row(client)
        _, after = await client.update(before, GovernanceSettings(budgets=[MONTH]), urgent=True)
        assert after.settings.rate_limit == before.settings.rate_limit
        assert [window.current_usage for window in after.usage] == [12.5, 5000, 40]


async def test_a_second_row_of_an_identity_is_refused(bifrost: BifrostSimulator, generation: Generation) -> None:
    taken = Identity("gpt-4o", "openai", Scope.GLOBAL, None)
    async with connected(bifrost.gateway_url) as client:
        with pytest.raises(errors.RemoteFailure) as refused:
            await client.create(taken, BOTH, None, urgent=True)
    assert refused.value.status == 409


@pytest.mark.parametrize("version", [None, "v1.0.0", "something"])
async def test_an_empty_gateway_gets_what_it_understands(
    bifrost: BifrostSimulator, generation: Generation, version: str | None
) -> None:
    bifrost.seed([])
    bifrost.set_version(version)
    async with connected(bifrost.gateway_url) as client:
        assert await client.rows() == []
        _, row = await client.create(IDENTITY, BOTH, None, urgent=True)
        assert limits(row) == BOTH


async def test_a_success_that_cannot_be_understood_says_so(bifrost: BifrostSimulator, generation: Generation) -> None:
    bodies: list[Any] = [
        {"message": "done"},
        {"message": "done", "model_config": None},
        {"message": "done", "model_config": {"id": "other", "model_name": "other"}},
        ["done"],
    ]
    async with connected(bifrost.gateway_url) as client:
        row = await the_row(client)
        for body in bodies:
            bifrost.inject(Respond(body=body), method="PUT")
            with pytest.raises(errors.UnreadableAnswer) as failed:
                await client.update(row, BOTH, urgent=True)
            assert failed.value.status == 200
            bifrost.inject(Respond(body=body), method="POST")
            with pytest.raises(errors.UnreadableAnswer) as failed:
                await client.create(IDENTITY, BOTH, None, urgent=True)
            assert failed.value.status == 200


async def test_rules_of_the_third_generation_are_changed_in_place_and_removed(bifrost: BifrostSimulator) -> None:
    bifrost.set_generation(3)
    async with connected(bifrost.gateway_url) as client:
        row = await the_row(client)
        shown = ModelConfig.from_wire(
            {
                "id": row.id,
                "model_name": "gpt-4o",
                "provider": "openai",
                "scope": "global",
                "rate_limits": [
                    {"id": "t", "metric": "tokens", "token_max_limit": 5, "token_reset_duration": "1h"},
                    {"id": "r", "metric": "requests", "request_max_limit": 6, "request_reset_duration": "1h"},
                ],
            }
        )
        answer = {"message": "done", "model_config": {"id": row.id, "model_name": "gpt-4o", "provider": "openai"}}
        for wanted in (RATE, RateLimit()):
            bifrost.inject(Respond(body=answer), method="PUT")
            with suppress(errors.UnreadableAnswer):
                await client.update(shown, GovernanceSettings(rate_limit=wanted), urgent=True)
    changed, removed = [entry.body for entry in bifrost.journal(method="PUT")]
    assert "rate_limit" not in changed
    assert changed["rate_limits"] == [
        {"id": "r", "metric": "requests", "max_limit": RATE.request_max_limit, "reset_duration": "1m"}
    ]
    assert removed["rate_limits"] == []


async def test_scopes_are_sent_and_found(bifrost: BifrostSimulator) -> None:
    scoped = Identity("*", None, Scope.VIRTUAL_KEY, "vk-team-b")
    async with connected(bifrost.gateway_url) as client:
        _, row = await client.create(scoped, BOTH, Shape.BUDGETS, urgent=True)
        assert row.identity == scoped
        assert scoped in {other.identity for other in await client.rows(not_before=asyncio.get_running_loop().time())}


async def test_one_list_serves_all_and_has_no_parameters(bifrost: BifrostSimulator) -> None:
    async with connected(bifrost.gateway_url) as client:
        lists = await asyncio.gather(*(client.rows() for _ in range(200)))
    assert len({len(rows) for rows in lists}) == 1
    [entry] = bifrost.journal(method="GET")
    assert entry.path == "/api/governance/model-configs"


async def test_the_gateways_own_words_are_in_the_error(bifrost: BifrostSimulator) -> None:
    body = {"is_bifrost_error": False, "status_code": 500, "error": {"message": "budget: bad"}, "extra_fields": {}}
    bifrost.inject(Respond(status=500, body=body), method="PUT")
    async with connected(bifrost.gateway_url) as client:
        row = await the_row(client)
        with pytest.raises(errors.RemoteFailure, match="budget: bad") as failed:
            await client.update(row, BOTH, urgent=True)
    assert (failed.value.status, failed.value.api_message) == (500, "budget: bad")


PASSWORD = "what-the-gateway-knows"  # noqa: S105 - the simulator's


@pytest.mark.parametrize(
    ("mode", "good", "bad", "error"),
    [
        ("basic", Credential.basic("admin", PASSWORD), Credential.basic("admin", "wrong"), errors.AuthenticationFailed),
        (
            "bearer",
            Credential.authorization("Bearer", PASSWORD),
            Credential.authorization("Bearer", "wrong"),
            errors.AuthenticationFailed,
        ),
        ("bearer", Credential.authorization("Bearer", PASSWORD), Credential.none(), errors.AuthenticationFailed),
        ("setup_token", Credential.setup_token(PASSWORD), Credential.setup_token("wrong"), errors.Forbidden),
        ("setup_token", Credential.setup_token(PASSWORD), Credential.none(), errors.AuthenticationFailed),
    ],
)
async def test_each_way_to_log_in(
    bifrost: BifrostSimulator, mode: str, good: Credential, bad: Credential, error: type[errors.RemoteError]
) -> None:
    match mode:
        case "basic":
            bifrost.set_auth("basic", password=PASSWORD)
        case "bearer":
            bifrost.set_auth("bearer", tokens=[PASSWORD])
        case _:
            bifrost.set_auth("setup_token", setup_token=PASSWORD)
    async with connected(bifrost.gateway_url, good) as client:
        assert await client.rows()
        assert PASSWORD not in repr(client)
    async with connected(bifrost.gateway_url, bad) as client:
        with pytest.raises(error) as refused:
            await client.rows()
        assert "wrong" not in str(refused.value)


async def test_a_gateway_below_a_path_is_reached() -> None:
    with BifrostSimulator.start(prefix="/ai/gateway") as below:
        async with connected(below.gateway_url + "/") as client:
            assert await client.rows()
            assert await client.version() == "v2.2.4"


async def test_a_page_and_an_unknown_shape_name_the_release(bifrost: BifrostSimulator) -> None:
    bifrost.set_version("v9.9.9")
    async with connected(bifrost.gateway_url) as client:
        bodies: list[Any] = [{"model_configs": [], "total_count": 3}, {"configs": []}, ["x"]]
        for body in bodies:
            bifrost.inject(Respond(body=body), method="GET", path="model-configs")
            with pytest.raises(errors.RemoteFailure, match=r"Bifrost v9\.9\.9: "):
                await client.rows(not_before=asyncio.get_running_loop().time())


async def test_a_gateway_that_hides_its_version_works(bifrost: BifrostSimulator) -> None:
    bifrost.inject(Respond(status=404, body={}), path="version", count=None)
    bifrost.seed([])
    async with connected(bifrost.gateway_url) as client:
        _, row = await client.create(IDENTITY, BOTH, None, urgent=True)
        assert limits(row) == BOTH
