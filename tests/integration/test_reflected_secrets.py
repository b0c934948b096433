"""A remote that repeats the credential in every text it can: none of it leaves the clients, in whatever form it comes."""

import base64
import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.bifrost_shapes import Identity
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import RemoteError
from setpoint.remotes.limits import Limits
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.model_config_governance import GovernanceSettings, Scope
from tests.raw_server import Act, answer, by_target, raw_server

KEY = "s3cret/Key-0123456789"
USER = "platform-team"
PAIR = base64.b64encode(f"{USER}:{KEY}".encode()).decode()

FORMS: dict[str, Callable[[str], str]] = {
    "in clear": str,
    "escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "solidus escaped": lambda text: text.replace("/", "\\/"),
    "percent": lambda text: "".join(f"%{ord(char):02x}" for char in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a pair": lambda text: base64.b64encode(f"x:{text}".encode()).decode(),
}


def reflecting(body: Any, form: str, secret: str, status: int = 200, **headers: str) -> Act:
    """Return an act that answers with JSON in which SECRET stands for the secret, in a form."""
    return answer(status, raw=json.dumps(body).replace("SECRET", FORMS[form](secret)).encode(), headers=headers)


def shown(*things: object) -> str:
    """Return all text that things, or errors among them, could tell."""
    parts = []
    for thing in things:
        parts += [repr(thing), str(thing)]
        if isinstance(thing, RemoteError):
            parts += ["".join(traceback.format_exception(thing)), repr(vars(thing)), thing.api_message or ""]
    return "\n".join(parts)


def assert_hidden(text: str, secret: str) -> None:
    for name, form in FORMS.items():
        encoded = form(secret).rstrip("=")
        assert encoded not in text, f"the secret is shown ({name})"
        assert encoded.replace("\\", "\\\\") not in text, f"the secret is shown ({name})"
    assert PAIR not in text


@asynccontextmanager
async def baseten(url: str) -> AsyncIterator[Baseten]:
    client = Baseten.connect(
        url=url,
        credential=Credential.authorization("Bearer", KEY),
        requests_per_second=1000,
        timeout=5,
        limits=Limits(),
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def bifrost(url: str) -> AsyncIterator[Bifrost]:
    client = Bifrost.connect(
        url=url, credential=Credential.basic(USER, KEY), requests_per_second=1000, timeout=5, limits=Limits()
    )
    try:
        yield client
    finally:
        await client.aclose()


async def raised(asking: Any) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await asking
    return caught.value


@pytest.mark.parametrize("padding", [0, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("form", FORMS)
async def test_what_baseten_reports_is_shown_without_the_key(form: str, padding: int) -> None:
    deployment = {
        "id": "d1",
        "name": "SECRET",
        "environment": "SECRET",
        "status": "ACTIVE",
        "autoscaling_settings": {"SECRET": "SECRET", "max_replica": 3},
        "padding": " x" * (padding // 8),
    }
    routes = {
        "/v1/models": {"models": [{"id": "m1", "name": "SECRET", "team_name": "SECRET"}], "x": ["y" * 99] * 999},
        "/v1/models/m1/deployments": {
            "deployments": [deployment, {**deployment, "id": "d2"}] * (1 + padding // 30_000)
        },
        "/v1/chains/c1/environments/prod": {
            "chainlet_settings": [{"chainlet_name": "SECRET", "autoscaling_settings": {"max_replica": 3}}],
            "current_deployment": {"id": "x1", "status": "SECRET", "chainlets": [{"id": "SECRET", "name": "SECRET"}]},
        },
    }
    acts = {target: reflecting(body, form, KEY) for target, body in routes.items()}
    async with raw_server(by_target(acts)) as server, baseten(server.url) as client:
        found = await client.deployment("m1", "d1")
        assert found.name == found.environment == "[redacted]"
        chain = await client.chain_environment("c1", "prod")
        assert set(chain.chainlets) == {"[redacted]"}
        missing = await raised(client.deployment("m1", "none"))
        unknown = await raised(client.model_id("llama"))
        assert "there are [redacted]" in unknown.message
        named = await client.model_name("m1")
        assert_hidden(shown(found, chain, missing, unknown, named), KEY)


@pytest.mark.parametrize("secret", [KEY, USER], ids=["password", "user"])
@pytest.mark.parametrize("form", FORMS)
async def test_what_a_gateway_reports_is_shown_without_the_login(form: str, secret: str) -> None:
    row = {
        "id": "r1",
        "model_name": "SECRET",
        "provider": "SECRET",
        "scope": "virtual_key",
        "scope_id": "SECRET",
        "budgets": [
            {"id": "SECRET", "max_limit": 1, "reset_duration": "SECRET", "last_reset": "SECRET", "current_usage": 1}
        ],
        "rate_limit": {"token_max_limit": 1, "token_reset_duration": "SECRET", "token_last_reset": "SECRET"},
    }
    acts = {
        "/api/governance/model-configs": reflecting(
            {"model_configs": [row, {**row, "budgets": "SECRET"}]}, form, secret
        ),
        "/api/governance/model-configs/r1": reflecting({"model_config": row, "message": "SECRET"}, form, secret),
        "/api/version": reflecting("v1.6.0-SECRET", form, secret),
    }
    identity = Identity("gpt", None, Scope.GLOBAL, None)
    async with raw_server(by_target(acts)) as server, bifrost(server.url) as client:
        rows = await client.rows()
        assert rows[0].identity is not None
        assert rows[0].identity.model_name == "[redacted]"
        version = await client.probe()
        assert version is not None
        other = await raised(client.create(identity, GovernanceSettings(), None, urgent=True))
        changed = await client.update(rows[0], GovernanceSettings(), urgent=True)
        removed = await client.delete("r1", urgent=True)
        assert_hidden(shown(rows, version, other, changed, removed), secret)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 301])
async def test_a_refusal_is_shown_without_the_key(form: str, status: int) -> None:
    body = {
        "message": "no: SECRET",
        "error": {"code": "SECRET", "SECRET": ["SECRET"]},
        "details": {"SECRET": ["SECRET"]},
    }
    headers = {
        "Retry-After": KEY,
        "Location": f"https://x.example.com/{'p' * 150}/{quote(KEY, safe='')}/{KEY}?k={KEY}",
        "WWW-Authenticate": f"Basic {PAIR}",
        "Content-Type": "application/json",
    }
    act = reflecting(body, form, KEY, status, **headers)
    settings = AutoscalingSettings(max_replica=3)
    async with raw_server(act) as server, baseten(server.url) as client:
        read = await raised(client.probe())
        write = await raised(client.update_deployment("m1", "d1", settings, urgent=True))
        assert_hidden(shown(read, write), KEY)


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_to_a_write_is_shown_without_the_key(form: str) -> None:
    act = reflecting({"status": "SECRET", "message": "thanks for SECRET"}, form, KEY)
    async with raw_server(act) as server, baseten(server.url) as client:
        got = await client.update_deployment("m1", "d1", AutoscalingSettings(max_replica=3), urgent=True)
        assert_hidden(shown(got), KEY)
        assert "[redacted]" in got.status


@pytest.mark.parametrize("header", ["Content-Encoding", "Content-Type"])
async def test_a_header_is_shown_without_the_key_though_it_is_cut(header: str) -> None:
    value = "x" * 20 + "/" + KEY if header == "Content-Encoding" else f"text/{KEY}"
    async with raw_server(answer(raw=b"?", headers={header: value})) as server, baseten(server.url) as client:
        error = await raised(client.probe())
        assert "[redac" in error.message
        for length in range(6, len(KEY) + 1):
            assert KEY[:length] not in error.message
