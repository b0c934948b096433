"""The Baseten client against a server of our own: what it sends byte for byte, and what it makes of odd answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from setpoint.remotes import errors
from setpoint.remotes.answers import Answer
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.connection import AuthScheme
from tests.raw_server import Act, RawServer, answer, by_target, in_turn, raw_server

KEY = "s3cret-Key.0123456789"
SETTINGS = AutoscalingSettings(
    min_replica=0,
    max_replica=7,
    autoscaling_window=600,
    scale_down_delay=120,
    concurrency_target=2,
    target_utilization_percentage=70,
    target_in_flight_tokens=40000,
    max_scale_down_rate=25,
)
WIRE = {
    "min_replica": 0,
    "max_replica": 7,
    "autoscaling_window": 600,
    "scale_down_delay": 120,
    "concurrency_target": 2,
    "target_utilization_percentage": 70,
    "target_in_flight_tokens": 40000,
    "max_scale_down_rate": 25,
}
ONLY_MAX = AutoscalingSettings(max_replica=3)
ACCEPTED = answer(body={"status": "ACCEPTED", "message": "Autoscaling settings update accepted"})

Write: TypeAlias = Callable[[Baseten], Awaitable[Answer]]


def connected(
    url: str,
    *,
    limits: Limits | None = None,
    key: str = KEY,
    scheme: str = AuthScheme.BEARER,
    rate: int = 1000,
    timeout: float = 5,
) -> Baseten:
    return Baseten.connect(
        url=url,
        credential=Credential.authorization(scheme, key),
        requests_per_second=rate,
        timeout=timeout,
        limits=limits or Limits(),
    )


@asynccontextmanager
async def client(act: Act, **options: Any) -> AsyncIterator[tuple[Baseten, RawServer]]:
    """Connect a client to a server that answers like that."""
    async with raw_server(act) as server:
        baseten = connected(server.url, **options)
        try:
            yield baseten, server
        finally:
            await baseten.aclose()


def development(baseten: Baseten) -> Awaitable[Answer]:
    return baseten.update_deployment("m1", "development", SETTINGS, urgent=True)


def production(baseten: Baseten) -> Awaitable[Answer]:
    return baseten.update_deployment("m1", "production", SETTINGS, urgent=True)


def by_id(baseten: Baseten) -> Awaitable[Answer]:
    return baseten.update_deployment("m1", "d1", SETTINGS, urgent=True)


def environment(baseten: Baseten) -> Awaitable[Answer]:
    return baseten.update_environment("m1", "staging", SETTINGS, urgent=True)


def chainlets(baseten: Baseten) -> Awaitable[Answer]:
    settings = {"RandInt": SETTINGS, "HelloWorld": ONLY_MAX}
    return baseten.update_chainlets("c1", "production", settings, urgent=True)


BATCH = {
    "updates": [
        {"chainlet_name": "RandInt", "autoscaling_settings": WIRE},
        {"chainlet_name": "HelloWorld", "autoscaling_settings": {"max_replica": 3}},
    ]
}
WRITES = [development, production, by_id, environment, chainlets]


@pytest.mark.parametrize(
    ("write", "target", "body"),
    [
        (development, "/v1/models/m1/deployments/development/autoscaling_settings", WIRE),
        (production, "/v1/models/m1/deployments/production/autoscaling_settings", WIRE),
        (by_id, "/v1/models/m1/deployments/d1/autoscaling_settings", WIRE),
        (environment, "/v1/models/m1/environments/staging", {"autoscaling_settings": WIRE}),
        (chainlets, "/v1/chains/c1/environments/production/chainlet_settings/autoscaling_settings", BATCH),
    ],
)
async def test_writes_are_sent_as_documented(write: Write, target: str, body: Any) -> None:
    async with client(ACCEPTED) as (baseten, server):
        assert await write(baseten) == Answer("ACCEPTED", "Autoscaling settings update accepted")

        (request,) = server.requests
        assert (request.method, request.target, request.json) == ("PATCH", target, body)
        assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("scheme", [AuthScheme.BEARER, AuthScheme.API_KEY])
async def test_both_words_before_the_key_are_sent(scheme: AuthScheme) -> None:
    async with client(ACCEPTED, scheme=scheme) as (baseten, server):
        await environment(baseten)

        assert server.requests[0].headers["authorization"] == f"{scheme.value} {KEY}"


async def test_only_managed_settings_are_sent() -> None:
    async with client(ACCEPTED) as (baseten, server):
        await baseten.update_environment("m1", "staging", ONLY_MAX, urgent=False)

        assert server.requests[0].json == {"autoscaling_settings": {"max_replica": 3}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "QUEUED", "message": "later"}, Answer("QUEUED", "later")),
        ({"environment": {"name": "staging"}, "status": "QUEUED", "message": "later"}, Answer("QUEUED", "later")),
        ({"status": "UNCHANGED"}, Answer("UNCHANGED", "")),
        ({"status": "ODD", "message": "two\nlines"}, Answer("ODD", "two lines")),
        ({"status": "ACCEPTED", "message": f"thanks for {KEY}"}, Answer("ACCEPTED", "thanks for [redacted]")),
    ],
)
async def test_answers_to_writes_are_kept_in_their_own_words(body: Any, expected: Answer) -> None:
    async with client(answer(body=body)) as (baseten, _):
        assert await environment(baseten) == expected


@pytest.mark.parametrize("write", WRITES)
async def test_a_success_without_a_status_is_a_failure_of_the_remote(write: Write) -> None:
    async with client(answer(body={"message": "fine"})) as (baseten, _):
        with pytest.raises(errors.RemoteFailure, match="without a status"):
            await write(baseten)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.InvalidSettings),
        (401, errors.AuthenticationFailed),
        (403, errors.Forbidden),
        (404, errors.TargetNotFound),
        (422, errors.InvalidSettings),
        (429, errors.RateLimited),
        (500, errors.RemoteFailure),
    ],
)
@pytest.mark.parametrize("write", WRITES)
async def test_refused_writes_name_the_request_and_the_reason(
    write: Write, status: int, error: type[errors.RemoteError]
) -> None:
    async with client(answer(status, {"message": "because"})) as (baseten, server):
        with pytest.raises(error) as raised:
            await write(baseten)

        assert raised.value.message == f"Baseten answered {status} to PATCH {server.requests[0].target}: because"


@pytest.mark.parametrize("write", WRITES)
async def test_ids_are_escaped(write: Write) -> None:
    async with client(ACCEPTED) as (baseten, server):
        await baseten.update_deployment("m/1", "d?2", ONLY_MAX, urgent=False)
        await baseten.update_environment("m#1", "e%2", ONLY_MAX, urgent=False)

        assert [request.target for request in server.requests] == [
            "/v1/models/m%2F1/deployments/d%3F2/autoscaling_settings",
            "/v1/models/m%231/environments/e%252",
        ]


def deployment(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"d{number}",
        "name": f"v{number}",
        "model_id": "m1",
        "is_production": False,
        "is_development": False,
        "status": "ACTIVE",
        "environment": None,
        "autoscaling_settings": {"min_replica": 0, "max_replica": number, "concurrency_target": 1},
        **more,
    }


DEPLOYMENTS = {
    "deployments": [
        None,
        {"id": None},
        deployment(1, is_development=True),
        deployment(2, is_production=True, environment="production"),
        deployment(3, status="WAKING_UP"),
        deployment(4, autoscaling_settings="odd"),
    ]
}
LISTED = by_target({"/v1/models/m1/deployments": answer(body=DEPLOYMENTS)})


@pytest.mark.parametrize(
    ("asked", "found", "max_replica", "settled"),
    [("development", "d1", 1, True), ("production", "d2", 2, True), ("d2", "d2", 2, True), ("d3", "d3", 3, False)],
)
async def test_deployments_are_found_in_the_list_of_the_model(
    asked: str, found: str, max_replica: int, *, settled: bool
) -> None:
    async with client(LISTED) as (baseten, _):
        read = await baseten.deployment("m1", asked)

    assert (read.id, read.settled) == (found, settled)
    assert read.settings is not None
    assert read.settings.max_replica == max_replica


async def test_a_missing_deployment_is_told_with_those_there_are() -> None:
    async with client(LISTED) as (baseten, _):
        with pytest.raises(errors.TargetNotFound) as raised:
            await baseten.deployment("m1", "d9")

    assert raised.value.message == ("model m1 has no deployment d9; it has d1 (v1), d2 (v2), d3 (v3), d4 (v4)")


async def test_a_deployment_that_cannot_be_read_is_a_failure_only_for_those_who_ask_for_it() -> None:
    async with client(LISTED) as (baseten, _):
        with pytest.raises(errors.RemoteFailure, match="deployment d4 that cannot be read"):
            await baseten.deployment("m1", "d4")


async def test_many_missing_things_are_cut_short() -> None:
    environments = [{"name": f"e{number:02}", "autoscaling_settings": {}} for number in range(25)]
    async with client(answer(body={"environments": environments})) as (baseten, _):
        with pytest.raises(errors.TargetNotFound, match=r"it has e00, .*, e09 and 15 more$"):
            await baseten.environment("m1", "nothing")


async def test_an_environment_is_found_in_the_list_of_the_model() -> None:
    raw = {
        "name": "staging",
        "autoscaling_settings": {"max_replica": 3},
        "in_progress_promotion": {"status": "RAMPING_UP"},
        "autoscaling_schedules": {"applied_state": {"schedule_id": "s1"}},
    }
    act = by_target({"/v1/models/m1/environments": answer(body={"environments": [{"name": 5}, raw]})})
    async with client(act) as (baseten, _):
        read = await baseten.environment("m1", "staging")

    assert (read.name, read.promotion, read.schedule_id) == ("staging", "RAMPING_UP", "s1")
    assert read.settings == ONLY_MAX


async def test_an_environment_of_a_chain_has_its_chainlets() -> None:
    raw = {"chainlet_settings": [{"chainlet_name": "HelloWorld", "autoscaling_settings": {"max_replica": 3}}]}
    act = by_target({"/v1/chains/c1/environments/production": answer(body=raw)})
    async with client(act) as (baseten, _):
        read = await baseten.chain_environment("c1", "production")

    assert dict(read.chainlets) == {"HelloWorld": ONLY_MAX}


def read_deployment(baseten: Baseten) -> Awaitable[Any]:
    return baseten.deployment("m1", "production")


def read_environment(baseten: Baseten) -> Awaitable[Any]:
    return baseten.environment("m1", "production")


def read_chain(baseten: Baseten) -> Awaitable[Any]:
    return baseten.chain_environment("c1", "production")


READS = [read_deployment, read_environment, read_chain]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (read_deployment, "model m1 does not exist (or this key cannot see it)"),
        (read_environment, "model m1 does not exist (or this key cannot see it)"),
        (read_chain, "chain c1 or its environment production does not exist (or this key cannot see it)"),
    ],
)
async def test_a_model_or_chain_that_does_not_exist_is_told_so(
    read: Callable[[Baseten], Awaitable[Any]], message: str
) -> None:
    async with client(answer(404, {"detail": "Not found."})) as (baseten, _):
        with pytest.raises(errors.TargetNotFound) as raised:
            await read(baseten)

    assert raised.value.message == message
    assert raised.value.api_message == "Not found."
    assert raised.value.status == 404


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("status", "error"), [(429, errors.RateLimited), (500, errors.RemoteFailure), (403, errors.Forbidden)]
)
async def test_a_read_that_fails_is_never_an_absence(
    read: Callable[[Baseten], Awaitable[Any]], status: int, error: type[errors.RemoteError]
) -> None:
    async with client(answer(status, {})) as (baseten, _):
        with pytest.raises(error):
            await read(baseten)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("body", [[], {}, {"deployments": {}, "environments": 5, "chainlet_settings": "x"}, None])
async def test_a_read_without_its_list_is_a_failure_of_the_remote(
    read: Callable[[Baseten], Awaitable[Any]], body: Any
) -> None:
    async with client(answer(body=body)) as (baseten, _):
        with pytest.raises(errors.RemoteFailure):
            await read(baseten)


async def test_one_list_serves_all_deployments_of_a_model() -> None:
    async with client(LISTED) as (baseten, server):
        await asyncio.gather(*(baseten.deployment("m1", name) for name in ("d1", "d2", "d3") for _ in range(50)))

        assert len(server.requests) == 1


async def test_a_write_is_not_verified_by_a_read_that_came_before_it() -> None:
    before, after = (answer(body={"deployments": [deployment(number)]}) for number in (1, 2))
    async with client(in_turn(before, ACCEPTED, after)) as (baseten, _):
        assert (await baseten.deployment("m1", "d1")).settings is not None
        await baseten.update_deployment("m1", "d2", ONLY_MAX, urgent=True)
        answered = asyncio.get_running_loop().time()

        assert (await baseten.deployment("m1", "d2", not_before=answered, urgent=True)).id == "d2"


NAMES = by_target(
    {
        "/v1/models": answer(
            body={
                "models": [
                    {"id": "m1", "name": "llama"},
                    {"id": "m2", "name": "twin"},
                    {"id": "m3", "name": "twin"},
                    {},
                ]
            }
        ),
        "/v1/chains": answer(body={"chains": [{"id": "c1", "name": "llama"}, {"id": "c2", "name": None}]}),
    }
)


async def test_names_of_models_and_chains_are_apart_and_read_once() -> None:
    async with client(NAMES) as (baseten, server):
        for _ in range(3):
            assert await baseten.model_id("llama") == "m1"
            assert await baseten.chain_id("llama") == "c1"

        assert [request.target for request in server.requests] == ["/v1/models", "/v1/chains"]


async def test_an_ambiguous_name_is_told_with_the_ids() -> None:
    async with client(NAMES) as (baseten, _):
        with pytest.raises(errors.AmbiguousName, match=r"2 models are named twin, with the ids m2, m3: .* modelId"):
            await baseten.model_id("twin")


async def test_an_unknown_name_is_told_with_close_ones() -> None:
    async with client(NAMES) as (baseten, _):
        with pytest.raises(errors.TargetNotFound, match=r"there is no model named lama; did you mean llama\?"):
            await baseten.model_id("lama")


async def test_forgotten_names_are_read_again() -> None:
    async with client(NAMES) as (baseten, server):
        await baseten.model_id("llama")
        baseten.forget_names()
        await baseten.model_id("llama")

        assert len(server.requests) == 2


async def test_a_key_that_cannot_be_sent_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(errors.AuthenticationFailed, match="cannot be in a header"):
        connected("https://api.baseten.co", key=f"{KEY}\n")


async def test_the_key_is_in_no_repr() -> None:
    async with client(ACCEPTED) as (baseten, server):
        assert repr(baseten) == f"<Baseten <HttpApi {server.url}>>"
