"""The Baseten client against the simulator of the management API: the journey of a write, limits, refusals, faults."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import pytest

from setpoint.remotes import errors
from setpoint.remotes.answers import Answer
from setpoint.remotes.baseten import Baseten, Running
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.connection import AuthScheme
from tests.simulators.baseten.specs import DeploymentSpec, EnvironmentSpec
from tests.simulators.faults import Delay, Drop, Huge, Respond, Truncate
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually_async

MODEL, CHAIN = "m-greeter", "c-hello"
SETTINGS = AutoscalingSettings(min_replica=1, max_replica=5, scale_down_delay=120)
WRITE = "PATCH /v1/models/{model_id}/deployments/{deployment_id}/autoscaling_settings"

Call: TypeAlias = Callable[[Baseten], Awaitable[Any]]


@asynccontextmanager
async def connected(
    simulator: BasetenSimulator,
    *,
    limits: Limits | None = None,
    key: str = "test-key",
    scheme: AuthScheme = AuthScheme.BEARER,
    rate: int = 80,
    timeout: float = 5,
) -> AsyncIterator[Baseten]:
    client = Baseten.connect(
        url=simulator.url,
        credential=Credential.authorization(scheme, key),
        requests_per_second=rate,
        timeout=timeout,
        limits=limits or Limits(),
    )
    try:
        yield client
    finally:
        await client.aclose()


def write(client: Baseten, deployment: str = "d-free") -> Awaitable[Answer]:
    return client.update_deployment(MODEL, deployment, SETTINGS, urgent=False)


@pytest.mark.parametrize("scheme", list(AuthScheme))
@pytest.mark.parametrize("deployment", ["development", "production", "d-free"])
async def test_a_write_to_a_deployment_is_accepted_and_shows_in_a_read(
    baseten: BasetenSimulator, deployment: str, scheme: AuthScheme
) -> None:
    baseten.set_strict_development(strict=False)
    async with connected(baseten, scheme=scheme) as client:
        answer = await write(client, deployment)
        assert (answer.status, bool(answer.message)) == ("ACCEPTED", True)

        async def shown() -> bool:
            now = asyncio.get_running_loop().time()
            read = await client.deployment(MODEL, deployment, not_before=now, urgent=True)
            return read.settings is not None and not SETTINGS.differences(read.settings)

        await eventually_async(shown)
        assert (await write(client, deployment)).status == "UNCHANGED"


async def test_replicas_of_a_development_deployment_are_refused_with_the_reason(baseten: BasetenSimulator) -> None:
    async with connected(baseten) as client:
        with pytest.raises(errors.InvalidSettings, match="min_replica is fixed at 0 and max_replica at 1"):
            await write(client, "development")


@pytest.mark.parametrize("shape", ["old", "new"])
async def test_a_write_to_an_environment_is_accepted_in_both_shapes(baseten: BasetenSimulator, shape: Any) -> None:
    baseten.set_environment_shape(shape)
    baseten.set_converge(0)
    async with connected(baseten) as client:
        answer = await client.update_environment(MODEL, "staging", SETTINGS, urgent=True)
        read = await client.environment(MODEL, "staging")

    assert answer.status == "ACCEPTED"
    assert SETTINGS.differences(read.settings) == []
    assert (read.promotion, read.schedule_id) == (None, None)


@pytest.mark.parametrize("shape", ["bare", "wrapped"])
async def test_an_environment_in_the_answer_to_a_write_is_an_answer(baseten: BasetenSimulator, shape: Any) -> None:
    """Status and message are deprecated there, and nothing says how long they will come."""
    baseten.set_environment_shape(shape)
    async with connected(baseten) as client:
        assert await client.update_environment(MODEL, "staging", SETTINGS, urgent=True) == Answer("200", "")


async def test_a_write_that_is_answered_without_a_status_is_not_taken_for_refused(baseten: BasetenSimulator) -> None:
    baseten.inject(Respond(body={"message": "done"}, applied=True))
    async with connected(baseten) as client:
        with pytest.raises(errors.UnreadableAnswer) as raised:
            await write(client)

    assert raised.value.status == 200


@pytest.mark.parametrize(
    ("field", "call", "message"),
    [
        ("deployments", lambda client: client.deployment(MODEL, "d-free"), "has no deployment d-free; it has none"),
        ("environments", lambda client: client.environment(MODEL, "staging"), "no environment staging; it has none"),
        ("models", lambda client: client.model_id("greeter"), "no model named greeter; this key sees none"),
        ("chains", lambda client: client.chain_id("hello"), "no chain named hello; this key sees none"),
        ("teams", lambda client: client.model_id("greeter", "red"), "the id or name red; this key sees none"),
    ],
)
async def test_a_list_that_is_null_is_empty_and_one_that_is_missing_is_no_answer(
    baseten: BasetenSimulator, field: str, call: Call, message: str
) -> None:
    baseten.inject(Respond(body={field: None}))
    baseten.inject(Respond(body={}))
    for error, text in ((errors.TargetNotFound, message), (errors.UnreadableAnswer, f"without a list of {field}")):
        async with connected(baseten) as client:
            with pytest.raises(error, match=text):
                await call(client)


async def test_chainlets_are_written_in_one_request(baseten: BasetenSimulator) -> None:
    baseten.set_converge(0)
    other = AutoscalingSettings(max_replica=9)
    async with connected(baseten) as client:
        answer = await client.update_chainlets(
            CHAIN, "production", {"RandInt": SETTINGS, "HelloWorld": other}, urgent=True
        )
        read = await client.chain_environment(CHAIN, "production")

    assert answer.status == "ACCEPTED"
    assert baseten.count(method="PATCH") == 1
    assert read.chainlets["RandInt"] is not None
    assert read.chainlets["HelloWorld"] is not None
    assert SETTINGS.differences(read.chainlets["RandInt"]) == []
    assert other.differences(read.chainlets["HelloWorld"]) == []


async def test_a_write_during_a_build_is_queued(baseten: BasetenSimulator) -> None:
    baseten.set_deployment_status(MODEL, "d-free", "BUILDING")
    async with connected(baseten) as client:
        assert (await write(client)).status == "QUEUED"
        assert not (await client.deployment(MODEL, "d-free")).settled


async def test_promotions_and_schedules_show_in_reads(baseten: BasetenSimulator) -> None:
    baseten.start_promotion(MODEL, "production", "d-free", status="RAMPING_UP")
    baseten.set_schedule(MODEL, "staging", "night", {"max_replica": 2})
    baseten.start_chain_promotion(CHAIN, "production")
    async with connected(baseten) as client:
        assert (await client.environment(MODEL, "production")).promotion == "RAMPING_UP"
        assert (await client.environment(MODEL, "staging")).schedule_id == "night"
        assert (await client.chain_environment(CHAIN, "production")).promotion is not None
        assert (await client.chain_environment(CHAIN, "staging")).promotion is None


async def test_reads_tell_what_serves(baseten: BasetenSimulator) -> None:
    baseten.set_deployment_status(MODEL, "d-production", "UNHEALTHY", replicas=2)
    baseten.set_chainlet_status(CHAIN, "production", "RandInt", "BUILD_FAILED")
    baseten.add_environment(MODEL, EnvironmentSpec(name="empty"))
    async with connected(baseten) as client:
        deployment = await client.deployment(MODEL, "d-production")
        environment = await client.environment(MODEL, "production")
        empty = await client.environment(MODEL, "empty")
        chain = await client.chain_environment(CHAIN, "production")

    assert (deployment.status, deployment.replicas) == ("UNHEALTHY", 2)
    assert environment.current == Running("d-production", "UNHEALTHY", 2)
    assert empty.current is None
    assert chain.current is not None
    assert {name: one.status for name, one in chain.running.items()} == {
        "HelloWorld": "ACTIVE",
        "RandInt": "BUILD_FAILED",
    }


@pytest.mark.parametrize("team", ["t-red", "Red"])
async def test_a_team_tells_which_of_several_things_of_a_name_is_meant(baseten: BasetenSimulator, team: str) -> None:
    baseten.add_team(id="t-red", name="Red")
    baseten.add_team(id="t-blue", name="Blue")
    for name in ("Red", "Blue"):
        baseten.add_model(id=f"m-{name}", name="twin", team=name)
        baseten.add_chain(id=f"c-{name}", name="twin", team=name)
    async with connected(baseten) as client:
        assert await client.model_id("twin", team) == "m-Red"
        assert await client.chain_id("twin", team) == "c-Red"
        with pytest.raises(
            errors.AmbiguousName, match=r"m-Blue \(team Blue\), m-Red \(team Red\): .* with target\.team"
        ):
            await client.model_id("twin")
        with pytest.raises(
            errors.AmbiguousName, match=r"c-Blue \(team Blue\), c-Red \(team Red\): .* with target\.team"
        ):
            await client.chain_id("twin")
        with pytest.raises(errors.TargetNotFound, match=r"no model named greeter in team Red; there are twin"):
            await client.model_id("greeter", team)
        with pytest.raises(errors.TargetNotFound, match=r"no chain named hello in team Red; there are twin"):
            await client.chain_id("hello", team)
        with pytest.raises(errors.TargetNotFound, match=r"no team with the id or name Rd; did you mean Red\?"):
            await client.model_id("twin", "Rd")
        for _ in range(9):
            await client.model_id("twin", team)

    assert baseten.summary()["GET", "/v1/teams/{team_id}/models", 200] == 1
    assert baseten.summary()["GET", "/v1/teams", 200] == 1


async def test_an_id_leads_to_the_name_of_now(baseten: BasetenSimulator) -> None:
    async with connected(baseten) as client:
        assert await client.model_id("greeter") == MODEL
        assert await client.chain_id("hello") == CHAIN
        baseten.rename_model(MODEL, "waver")
        baseten.rename_chain(CHAIN, "bye")
        client.forget_names()
        assert await client.model_name(MODEL) == "waver"
        assert await client.chain_name(CHAIN) == "bye"
        baseten.remove_model(MODEL)
        baseten.remove_chain(CHAIN)
        client.forget_names()
        assert await client.model_name(MODEL) is None
        assert await client.chain_name(CHAIN) is None


async def test_names_lead_to_ids(baseten: BasetenSimulator) -> None:
    baseten.add_model(id="m-2", name="twin", team="a")
    baseten.add_model(id="m-3", name="twin", team="b")
    async with connected(baseten) as client:
        assert await client.model_id("greeter") == MODEL
        assert await client.chain_id("hello") == CHAIN
        with pytest.raises(errors.AmbiguousName, match=r"m-2 \(team a\), m-3 \(team b\)"):
            await client.model_id("twin")
        with pytest.raises(errors.TargetNotFound, match=r"did you mean greeter\?"):
            await client.model_id("greter")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda client: client.update_deployment(
                MODEL, "d-free", AutoscalingSettings(min_replica=4, max_replica=2), urgent=False
            ),
            errors.InvalidSettings,
            r"answered 400 to PATCH /v1/models/m-greeter/deployments/d-free/.*: min_replica \(4\) must not be",
        ),
        (
            lambda client: client.update_chainlets(CHAIN, "staging", {"Nobody": SETTINGS}, urgent=False),
            errors.InvalidSettings,
            "answered 400 .*: chainlet Nobody does not exist in environment staging",
        ),
        (lambda client: write(client, "d-nobody"), errors.TargetNotFound, "answered 404 to PATCH "),
        (
            lambda client: client.deployment(MODEL, "d-nobody"),
            errors.TargetNotFound,
            r"model m-greeter has no deployment d-nobody; it has d-development \(development\), d-free \(v1\)",
        ),
        (
            lambda client: client.environment(MODEL, "nowhere"),
            errors.TargetNotFound,
            "model m-greeter has no environment nowhere; it has production, staging",
        ),
        (
            lambda client: client.environment("m-nobody", "production"),
            errors.TargetNotFound,
            r"model m-nobody does not exist \(or this key cannot see it\)",
        ),
        (
            lambda client: client.chain_environment(CHAIN, "nowhere"),
            errors.TargetNotFound,
            "chain c-hello or its environment nowhere does not exist",
        ),
    ],
)
async def test_refusals_say_what_is_wrong(
    baseten: BasetenSimulator, call: Call, error: type[errors.RemoteError], message: str
) -> None:
    async with connected(baseten) as client:
        with pytest.raises(error, match=message):
            await call(client)


async def test_a_key_that_is_not_known_fails_to_authenticate(baseten: BasetenSimulator) -> None:
    async with connected(baseten, key="wrong-key-123") as client:
        with pytest.raises(errors.AuthenticationFailed, match="answered 401 to PATCH") as raised:
            await write(client)

    assert "wrong-key-123" not in repr(raised.value)


async def test_a_restricted_environment_is_forbidden(baseten: BasetenSimulator) -> None:
    baseten.set_restricted(model=MODEL, environment="production")
    async with connected(baseten) as client:
        with pytest.raises(errors.Forbidden, match="environment production is restricted"):
            await client.update_environment(MODEL, "production", SETTINGS, urgent=False)


async def test_a_crowd_at_the_operators_pace_is_never_limited(baseten: BasetenSimulator) -> None:
    """The pace leaves room for requests that a busy machine or network holds up, so that they come closer together."""
    baseten.set_rate(100)
    baseten.add_model(id="m-big", name="big", deployments=[DeploymentSpec(id=f"d{number}") for number in range(300)])
    async with connected(baseten, rate=80, timeout=30) as client:
        answers = await asyncio.gather(
            *(client.update_deployment("m-big", f"d{number}", SETTINGS, urgent=False) for number in range(300))
        )

    assert {answer.status for answer in answers} == {"ACCEPTED"}
    assert baseten.count(status=429) == 0
    assert baseten.peak(endpoint=WRITE) <= 100


async def test_two_clients_of_the_same_key_stay_within_the_rate_together(baseten: BasetenSimulator) -> None:
    baseten.set_rate(20)
    limits = Limits()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(baseten, limits=limits, rate=16)) for _ in range(2)]
        await asyncio.gather(*(write(client) for client in clients for _ in range(15)))

    assert baseten.count(status=429) == 0
    assert baseten.peak(endpoint=WRITE) <= 20


@pytest.mark.parametrize("told_in", ["body", "header", "both"])
async def test_the_wait_the_api_asks_for_holds_for_all_clients_of_the_key(
    baseten: BasetenSimulator, told_in: Any
) -> None:
    baseten.set_rate(1, retry_after=2, told_in=told_in)
    limits = Limits()
    async with (
        connected(baseten, limits=limits) as first,
        connected(baseten, limits=limits, scheme=AuthScheme.API_KEY) as second,
    ):
        await write(first)
        with pytest.raises(errors.RateLimited, match="Rate limit exceeded") as raised:
            await write(first)
        baseten.set_rate(100)
        await asyncio.gather(write(first), write(second))

    refused, *later = baseten.journal(method="PATCH")[1:]
    assert raised.value.retry_after == 2
    assert len(later) == 2
    assert min(entry.monotonic for entry in later) - refused.monotonic >= 2


async def test_many_reads_of_a_model_are_one_request(baseten: BasetenSimulator) -> None:
    async with connected(baseten) as client:
        await asyncio.gather(*(client.deployment(MODEL, "d-free") for _ in range(100)))
        await asyncio.gather(*(client.environment(MODEL, name) for name in ("production", "staging")))

    assert baseten.count(method="GET") == 2


async def test_ids_arrive_as_they_are(baseten: BasetenSimulator) -> None:
    baseten.add_model(id="m#1", name="odd", environments=[EnvironmentSpec(name="e?2%41")])
    async with connected(baseten) as client:
        answer = await client.update_environment("m#1", "e?2%41", SETTINGS, urgent=False)

    assert answer.status == "ACCEPTED"
    assert baseten.journal(method="PATCH")[0].path == "/v1/models/m%231/environments/e%3F2%2541"


async def test_a_redirect_is_not_followed(baseten: BasetenSimulator) -> None:
    baseten.inject(Respond(status=307, headers={"Location": f"{baseten.url}/v1/models"}))
    async with connected(baseten) as client:
        with pytest.raises(errors.UnexpectedAnswer, match=r"with a redirect.*, which is not followed"):
            await write(client)

    assert len(baseten.journal()) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_failures_in_front_of_the_api_pass(baseten: BasetenSimulator, status: int) -> None:
    baseten.inject(Respond(status=status, body="<html>oops</html>", headers={"Content-Type": "text/html"}))
    async with connected(baseten) as client:
        with pytest.raises(errors.RemoteFailure, match=f"answered {status} to PATCH .* with text/html$"):
            await write(client)
        assert (await write(client)).status == "ACCEPTED"


async def test_a_read_survives_a_dropped_connection(baseten: BasetenSimulator) -> None:
    baseten.inject(Drop())
    async with connected(baseten) as client:
        assert (await client.deployment(MODEL, "d-free")).id == "d-free"


async def test_a_write_whose_connection_drops_is_left_to_the_caller(baseten: BasetenSimulator) -> None:
    baseten.inject(Drop(applied=True))
    async with connected(baseten) as client:
        with pytest.raises(errors.RemoteUnreachable, match="the connection broke"):
            await write(client)
        assert (await write(client)).status == "UNCHANGED"

    assert len(baseten.journal(method="PATCH")) == 2


async def test_a_truncated_answer_is_no_answer(baseten: BasetenSimulator) -> None:
    baseten.inject(Truncate())
    async with connected(baseten) as client:
        with pytest.raises(errors.RemoteUnreachable):
            await write(client)


async def test_a_huge_answer_is_cut_off(baseten: BasetenSimulator) -> None:
    baseten.inject(Huge(size=64 * 1024 * 1024))
    async with connected(baseten, timeout=30) as client:
        with pytest.raises(errors.RemoteFailure, match="with more than 1 MiB"):
            await write(client)


async def test_an_api_that_does_not_answer_is_given_up(baseten: BasetenSimulator) -> None:
    baseten.inject(Delay(seconds=None))
    async with connected(baseten, timeout=0.3) as client:
        with pytest.raises(errors.RemoteUnreachable, match=r"did not answer PATCH .* within 0\.3 s"):
            await write(client)
