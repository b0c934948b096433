"""What may be written for a spec, and what a remote that answered so has of it: told from the spec and the bodies alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from tests.fuzz.remote import Exchange

Json = Mapping[str, Any]

_CONFIGS = "/api/governance/model-configs"


def snake(values: Json) -> dict[str, Any]:
    """Return fields by their names on the wire, without those that are null."""
    return {
        re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key): v for key, v in values.items() if v is not None
    }


def assert_of_spec(kind: str, spec: Json, exchanges: list[Exchange]) -> None:
    """Hold every write against the spec; ids are those that the answers before it told."""
    for number, exchange in enumerate(exchanges):
        if exchange.writes:
            told = [before.told() for before in exchanges[:number]]
            assert spec.get("mode") != "Observe"
            assert not spec.get("suspend")
            match kind:
                case "DeploymentAutoscaling":
                    _deployment(spec, exchange, told)
                case "ChainAutoscaling":
                    _chain(spec, exchange, told)
                case _:
                    _governance(spec, exchange, told)


def _deployment(spec: Json, exchange: Exchange, told: list[Any]) -> None:
    target = spec["target"]
    ids = {target["modelId"]} if "modelId" in target else _ids(told, "models", target["modelName"])
    wanted = snake(spec["autoscaling"])
    assert exchange.method == "PATCH"
    if "environment" in target:
        assert exchange.path in {_path("/v1/models", one, f"/environments/{target['environment']}") for one in ids}
        assert exchange.sent.keys() == {"autoscaling_settings"}
        _settings(wanted, exchange.sent["autoscaling_settings"])
    else:
        end = f"/deployments/{target['deployment']}/autoscaling_settings"
        assert exchange.path in {_path("/v1/models", one, end) for one in ids}
        _settings(wanted, exchange.sent)


def _chain(spec: Json, exchange: Exchange, told: list[Any]) -> None:
    target = spec["target"]
    ids = {target["chainId"]} if "chainId" in target else _ids(told, "chains", target["chainName"])
    end = f"/environments/{target['environment']}/chainlet_settings/autoscaling_settings"
    assert exchange.method == "PATCH"
    assert exchange.path in {_path("/v1/chains", one, end) for one in ids}
    assert exchange.sent.keys() == {"updates"}
    wanted = {one["name"]: snake(one["autoscaling"]) for one in spec["chainlets"]}
    names = [update["chainlet_name"] for update in exchange.sent["updates"]]
    assert len(set(names)) == len(names) > 0
    for update in exchange.sent["updates"]:
        assert update.keys() == {"chainlet_name", "autoscaling_settings"}
        _settings(wanted[update["chainlet_name"]], update["autoscaling_settings"])


def _settings(wanted: Json, sent: Json) -> None:
    assert sent
    assert sent.items() <= wanted.items()
    assert not any(isinstance(value, bool | float) for value in sent.values())


def _governance(spec: Json, exchange: Exchange, told: list[Any]) -> None:
    sent = exchange.sent
    identity = {"model_name", "provider", "scope", "scope_id"}
    assert {name: sent[name] for name in sent if name in identity}.items() <= wire_identity(spec).items()
    budgets = wanted_budgets(spec)
    parts = set() if budgets is None else {"budget", "budgets"}
    parts |= {"rate_limit", "rate_limits"} if spec.get("rateLimit") is not None else set()
    assert sent.keys() <= identity | parts
    rows = [row for body in told for row in _rows(body)]
    if exchange.method == "POST":
        assert exchange.path == _CONFIGS
        assert "modelConfigId" not in spec
    else:
        assert exchange.method == "PUT"
        mine = [row["id"] for row in rows if is_mine(spec, row) and isinstance(row.get("id"), str)]
        assert exchange.path in {_path(_CONFIGS, one) for one in mine}
    if "budgets" in sent:
        known = {str(one.get("id")) for row in rows for one in _list(row, "budgets") if isinstance(one, dict)}
        for one in sent["budgets"]:
            quarters = {"reset_config"} if one["reset_duration"].endswith("Q") else set()
            assert one.keys() - {"id"} - quarters == {"max_limit", "reset_duration"}
            assert one.get("id") is None or one["id"] in known
        assert {one["reset_duration"]: float(one["max_limit"]) for one in sent["budgets"]} == budgets
    if sent.get("budget"):
        assert {sent["budget"]["reset_duration"]: float(sent["budget"]["max_limit"])} == budgets
    assert not {"rate_limit", "rate_limits"} <= sent.keys(), "each generation is told in its own words only"
    if "rate_limit" in sent:
        assert sent["rate_limit"] == snake(spec["rateLimit"])
    if "rate_limits" in sent:
        known = {str(one.get("id")) for row in rows for one in _list(row, "rate_limits") if isinstance(one, dict)}
        assert all(one.get("id") is None or one["id"] in known for one in sent["rate_limits"])
        assert _by_metric(sent["rate_limits"]) == snake(spec["rateLimit"])


def in_force(kind: str, spec: Json, exchange: Exchange) -> bool | None:
    """Tell whether an answer shows that the remote has what the spec wants; None where it is about something else."""
    target, body = spec.get("target", {}), exchange.told()
    match kind:
        case "DeploymentAutoscaling" if "environment" in target:
            return _listed(exchange, body, "environments", "name", target["environment"], spec)
        case "DeploymentAutoscaling" if target["deployment"] in {"production", "development"}:
            return _listed(exchange, body, "deployments", f"is_{target['deployment']}", True, spec)  # noqa: FBT003 - a value
        case "DeploymentAutoscaling":
            return _listed(exchange, body, "deployments", "id", target["deployment"], spec)
        case "ChainAutoscaling":
            if exchange.writes or f"/environments/{target['environment']}" not in exchange.path:
                return None
            found = {
                one.get("chainlet_name"): one.get("autoscaling_settings")
                for one in reversed(_list(body, "chainlet_settings"))
                if isinstance(one, dict) and isinstance(one.get("chainlet_name"), str)
            }
            # Of two of a name the last one counts, as in every JSON object.
            found |= {
                one["chainlet_name"]: one.get("autoscaling_settings")
                for one in _list(body, "chainlet_settings")
                if isinstance(one, dict) and isinstance(one.get("chainlet_name"), str)
            }
            return all(_equal(one["autoscaling"], found.get(one["name"])) for one in spec["chainlets"])
        case _:
            return _row_in_force(spec, exchange, body)


def _listed(exchange: Exchange, body: Any, field: str, key: str, value: object, spec: Json) -> bool | None:
    if exchange.writes or not exchange.path.endswith(f"/{field}"):
        return None
    for one in _list(body, field):
        if isinstance(one, dict) and type(one.get(key)) is type(value) and one[key] == value:
            return _equal(spec["autoscaling"], one.get("autoscaling_settings"))
    return False


def _equal(wanted: Json, shown: Any) -> bool:
    there = shown if isinstance(shown, dict) else {}
    return all(_same(value, there.get(name)) for name, value in snake(wanted).items())


def _same(one: Any, other: Any) -> bool:
    return not isinstance(other, bool) and isinstance(other, int | float) and one == other


def _row_in_force(spec: Json, exchange: Exchange, body: Any) -> bool | None:
    if not exchange.path.startswith(_CONFIGS):
        return None
    rows = [row for row in _rows(body) if is_mine(spec, row)]
    if exchange.method == "PUT":
        rows = [row for row in rows if exchange.path == _path(_CONFIGS, str(row.get("id")))]
    if "modelConfigId" in spec:
        rows = [row for row in rows if row.get("id") == spec["modelConfigId"]]
    if exchange.method == "GET" and _lists_nothing(body) and not rows:
        return not wanted_budgets(spec) and not snake(spec.get("rateLimit") or {})
    return len(rows) >= 1 and all(_limits_in_force(spec, row) for row in rows)


def _lists_nothing(body: Any) -> bool:
    """Tell a list of model configs, which is null where there is none, from other answers."""
    return isinstance(body, dict) and isinstance(body.get("model_configs", ""), list | None)


def _limits_in_force(spec: Json, row: Json) -> bool:
    budgets = wanted_budgets(spec)
    single = row.get("budget") if not row.keys() & {"scope", "budgets", "rate_limits"} else None
    listed = [single] if single else _list(row, "budgets")
    shown = {str(one.get("reset_duration")): one.get("max_limit") for one in listed if isinstance(one, dict)}
    if budgets is not None and not (shown == budgets and all(_same(shown[one], budgets[one]) for one in budgets)):
        return False
    if spec.get("rateLimit") is None:
        return True
    plain, wanted = row.get("rate_limit") or {}, snake(spec["rateLimit"])
    if not isinstance(plain, dict):
        return False
    # Those of one metric each hold beside the other.
    rules = {name: value for name, value in _by_metric(_list(row, "rate_limits")).items() if value is not None}
    limits = {**plain, **rules}
    for metric in ("token", "request"):
        limit = limits.get(f"{metric}_max_limit")
        if limit != wanted.get(f"{metric}_max_limit") or isinstance(limit, bool):
            return False
        if limit is not None and limits.get(f"{metric}_reset_duration") != wanted[f"{metric}_reset_duration"]:
            return False
    return True


def _by_metric(rules: list[Any]) -> Json:
    """Return rate limits of one metric each as one of all; shown they have the metric in their names, sent they have not."""
    limits = {}
    for one in rules:
        metric = str(one.get("metric")).removesuffix("s") if isinstance(one, dict) else ""
        for name in ("max_limit", "reset_duration"):
            if metric:
                limits[f"{metric}_{name}"] = one.get(f"{metric}_{name}", one.get(name))
    return limits


def wanted_budgets(spec: Json) -> dict[str, float] | None:
    """Return the budgets that a spec wants, by duration; None where it says nothing of them."""
    listed = [spec["budget"]] if spec.get("budget") else spec.get("budgets")
    # Both sides keep amounts as floating-point numbers.
    return None if listed is None else {one["resetDuration"]: float(one["maxLimit"]) for one in listed}


def wire_identity(spec: Json) -> dict[str, Any]:
    """Return what makes a row the one that is meant, by the gateway's names."""
    scope = {"virtualKey": "virtual_key"}.get(spec.get("scope", "global"), spec.get("scope", "global"))
    names = {"model_name": spec["modelName"], "provider": spec.get("provider"), "scope_id": spec.get("scopeId")}
    return {**names, "scope": scope}


def is_mine(spec: Json, row: Json) -> bool:
    """Tell whether a row is the one that is meant; absent, null and empty are the same."""
    shown = {name: row.get(name) or None for name in ("model_name", "provider", "scope_id")}
    shown["scope"] = row.get("scope") or "global"
    if shown["scope"] == "global":
        shown["scope_id"] = None
    return shown == wire_identity(spec)


def _path(collection: str, id_: str, end: str = "") -> str:
    return f"{collection}/{quote(id_, safe='', errors='replace')}{end}"


def _ids(told: Iterable[Any], field: str, name: str) -> set[str]:
    things = [one for body in told for one in _list(body, field) if isinstance(one, dict)]
    return {one["id"] for one in things if one.get("name") == name and isinstance(one.get("id"), str)}


def _rows(body: Any) -> list[Json]:
    single = body.get("model_config") if isinstance(body, dict) else None
    return [one for one in [single, *_list(body, "model_configs")] if isinstance(one, dict)]


def _list(body: Any, field: str) -> list[Any]:
    found = body.get(field) if isinstance(body, Mapping) else None
    return found if isinstance(found, list) else []
