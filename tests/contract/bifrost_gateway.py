"""A client of a gateway's API that checks every answer, and cleans up what it made: for simulated and for real ones."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.contract.bifrost_schema import CONFIG, CONFIGS, validate_error, validate_response
from tests.simulators.bifrost.releases import Release
from tests.simulators.bifrost.specs import VERSIONS, Generation

Json = dict[str, Any]

HOW_TO_RUN = (
    "no gateway to test: set BIFROST_URL and, unless it is open, BIFROST_USERNAME and BIFROST_PASSWORD, BIFROST_TOKEN or"
    " BIFROST_SETUP_TOKEN"
)


def usual(generation: Generation) -> Release:
    """Return the release that a simulated gateway of a generation is unless told otherwise."""
    return Release.of(generation, VERSIONS[generation])


def unique(kind: str = "model") -> str:
    """Return a model name that nobody else has."""
    return f"setpoint-test-{kind}-{uuid4().hex[:12]}"


class Gateway:
    """A gateway of a release."""

    def __init__(self, client: httpx.Client, release: Release | None = None) -> None:
        self.client = client
        self._made: list[str] = []
        self.release = release or Release.of(self._detect(), self.version())
        self.generation: Generation = self.release.generation

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Return the gateway the environment names, if any."""
        url = environ.get("BIFROST_URL")
        if not url:
            return None
        auth = headers = None
        if "BIFROST_USERNAME" in environ:
            auth = httpx.BasicAuth(environ["BIFROST_USERNAME"], environ.get("BIFROST_PASSWORD", ""))
        elif "BIFROST_TOKEN" in environ:
            headers = {"Authorization": f"Bearer {environ['BIFROST_TOKEN']}"}
        elif "BIFROST_SETUP_TOKEN" in environ:
            headers = {"X-Bifrost-Setup-Token": environ["BIFROST_SETUP_TOKEN"]}
        return cls(httpx.Client(base_url=url, auth=auth, headers=headers, timeout=30))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what was made; what is gone already does not matter."""
        for mc_id in self._made:
            self.client.delete(f"{CONFIGS}/{mc_id}")
        self.client.close()

    def send(self, method: str, mc_id: str | None = None, **request: Any) -> httpx.Response:
        """Send a request and check that the answer is one of the generation, or an error as the gateway has them."""
        path = CONFIGS if mc_id is None else f"{CONFIGS}/{mc_id}"
        response = self.client.request(method, path, **request)
        if response.status_code == 200:
            if method == "POST":
                self._made.append(response.json()["model_config"]["id"])
            validate_response(method, CONFIGS if mc_id is None else CONFIG, self.generation, response.json())
        else:
            validate_error(response.status_code, response.json())
        return response

    def create(self, **body: Any) -> Json:
        """Make a model config with a name of its own unless one is given, and return it."""
        return _item(self.send("POST", json={"model_name": unique()} | body))

    def update(self, mc_id: str, **body: Any) -> Json:
        """Change a model config and return it."""
        return _item(self.send("PUT", mc_id, json=body))

    def item(self, mc_id: str) -> Json:
        """Return a model config."""
        return _item(self.send("GET", mc_id))

    def items(self, **query: str | int) -> list[Json]:
        """Return the model configs of a list."""
        response = self.send("GET", params=query)
        assert response.status_code == 200, response.text
        body: Json = response.json()
        # Go has null for a list without anything.
        items: list[Json] = body["model_configs"] or []
        assert body["count"] == len(items)
        return items

    def version(self) -> str:
        """Return what the gateway calls itself."""
        version: str = self.client.get("/api/version").json()
        return version

    def budgets(self, *budgets: Json) -> Json:
        """Return the field of a body that makes these all budgets there are; generation 1 takes one at most."""
        if self.generation > 1:
            return {"budgets": list(budgets)}
        (budget,) = budgets or ({},)
        return {"budget": budget}

    def budgets_of(self, item: Json) -> list[Json]:
        """Return the budgets of an item."""
        if self.generation > 1:
            budgets: list[Json] = item.get("budgets", [])
            return budgets
        return [item["budget"]] if "budget" in item else []

    @property
    def invalid(self) -> frozenset[int]:
        """What the gateway answers to what is wrong in a write; of generation 3 it is not settled."""
        return frozenset({500}) if self.generation < 3 else frozenset({400, 500})

    def _detect(self) -> Generation:
        """Make a model config with all generations' fields and see which of them come back."""
        rule = {"metric": "requests", "max_limit": 1, "reset_duration": "1h"}
        response = self.client.post(CONFIGS, json={"model_name": unique("probe"), "rate_limits": [rule]})
        assert response.status_code == 200, response.text
        item = response.json()["model_config"]
        self.client.delete(f"{CONFIGS}/{item['id']}")
        if "scope" not in item:
            return 1
        return 3 if "rate_limits" in item else 2


def budget(max_limit: float, reset_duration: str, **more: str) -> Json:
    """Return a budget for a body."""
    return {"max_limit": max_limit, "reset_duration": reset_duration, **more}


def limits(tokens: int | None = None, requests: int | None = None, duration: str = "1h") -> Json:
    """Return a rate limit for a body."""
    limit: Json = {}
    if tokens is not None:
        limit |= {"token_max_limit": tokens, "token_reset_duration": duration}
    if requests is not None:
        limit |= {"request_max_limit": requests, "request_reset_duration": duration}
    return limit


def values(item: Json) -> Json:
    """Return what a client sets of an item, without what is the server's."""
    servers = {"id", "config_hash", "created_at", "updated_at", "last_reset", "current_usage", "calendar_aligned"}
    servers |= {"budget_id", "rate_limit_id", "model_config_id"}
    servers |= {f"{metric}_{field}" for metric in ("token", "request") for field in ("current_usage", "last_reset")}
    return {
        name: values(value)
        if isinstance(value, dict)
        else [values(one) for one in value]
        if isinstance(value, list)
        else value
        for name, value in item.items()
        if name not in servers
    }


def message(response: httpx.Response) -> str:
    """Return what an error says."""
    text: str = response.json()["error"]["message"]
    return text


def _item(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    item: Json = response.json()["model_config"]
    return item
