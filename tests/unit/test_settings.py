"""The operator's own settings: what is accepted, what is refused, and in which words."""

import pytest

from setpoint.settings import SettingsError, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "NAMESPACES",
        "ALLOWED_HOSTS",
        "CLUSTER_CIDRS",
        "HEALTH_ADDRESS",
        "WORKERS",
        "CONNECTIONS_PER_NAMESPACE",
        "SHARD",
        "DRY_RUN",
        "LOG_FORMAT",
        "LOG_LEVEL",
    ):
        monkeypatch.delenv(f"SETPOINT_{name}", raising=False)


def test_defaults_serve_everything() -> None:
    settings = load({}, {})
    assert settings.watched_namespaces == ()
    assert settings.workers == 32
    assert settings.connections_per_namespace == 100
    assert settings.hosts.refusal("https://api.baseten.co", namespaced=True) is None
    assert settings.hosts.refusal("https://example.com", namespaced=True) is not None


def test_the_environment_sets_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETPOINT_NAMESPACES", "ml, ai ,ml")
    monkeypatch.setenv("SETPOINT_WORKERS", "4")
    monkeypatch.setenv("SETPOINT_LOG_LEVEL", "DEBUG")
    settings = load({"workers": 8, "shard": None}, {"SETPOINT_WORKERS": "4"})
    assert settings.watched_namespaces == ("ml", "ai")
    assert settings.workers == 8
    assert settings.log_level == "debug"


def test_an_unknown_setting_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting SETPOINT_WORKER; known are .*SETPOINT_WORKERS"):
        load({}, {"SETPOINT_WORKER": "4"})


@pytest.mark.parametrize(
    "name",
    ["SETPOINT_SERVICE_HOST", "SETPOINT_PORT", "SETPOINT_METRICS_SERVICE_PORT_HTTP", "SETPOINT_PORT_8080_TCP_ADDR"],
)
def test_variables_that_kubernetes_sets_for_a_service_are_none_of_its_settings(name: str) -> None:
    load({}, {name: "10.0.0.1"})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"workers": 0}, "SETPOINT_WORKERS: Input should be greater than or equal to 1"),
        (
            {"connections_per_namespace": -1},
            "SETPOINT_CONNECTIONS_PER_NAMESPACE: Input should be greater than or equal to 0",
        ),
        ({"namespaces": "ml,Not_One"}, "SETPOINT_NAMESPACES: 'Not_One' is not the name of a namespace"),
        ({"health_address": "8081"}, "SETPOINT_HEALTH_ADDRESS: '8081' is not an address such as :8081"),
        ({"health_address": ":99999"}, "SETPOINT_HEALTH_ADDRESS: ':99999' is not an address"),
        ({"shard": "a b"}, "SETPOINT_SHARD: 'a b' is not the value of a label"),
        ({"log_level": "loud"}, "SETPOINT_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ({"allowed_hosts": "https://x"}, "SETPOINT_ALLOWED_HOSTS: "),
        ({"cluster_cidrs": "10.0.0.1/8"}, "SETPOINT_CLUSTER_CIDRS: '10.0.0.1/8' is not a range of addresses"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_setting(flags: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(flags, {})
    assert str(caught.value).startswith(message)
