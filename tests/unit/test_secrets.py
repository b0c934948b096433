"""What is kept of Secrets, and for how long, in virtual time."""

import asyncio
import base64
from typing import Any

import pytest

from setpoint.cluster.api import KubeApi
from setpoint.cluster.secrets import LARGEST_BUNDLE, LARGEST_CREDENTIAL, LIFETIME, Secrets
from setpoint.reconcile.ports import ConnectionNotFound
from tests.virtual_time import Clock, run


class Kube(KubeApi):
    """An API server with one Secret, which counts how often it is asked."""

    def __init__(self, **values: bytes) -> None:
        self.data = {key: base64.b64encode(value).decode() for key, value in values.items()}
        self.asked = 0

    async def get(self, path: str) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        assert path == "/api/v1/namespaces/ns/secrets/s"
        self.asked += 1
        return {"data": dict(self.data)}


def kept(secrets: Secrets) -> set[str]:
    """Return the names of the keys whose values are in memory."""
    return {key for one in secrets._known.values() for key in one.values}


def test_only_the_wanted_key_is_kept() -> None:
    async def scene() -> None:
        secrets = Secrets(kube := Kube(key=b"it", other=b"x" * 10**6), Clock())
        assert await secrets.value("ns", "s", "key") == "it"
        assert await secrets.value("ns", "s", "key") == "it"
        assert kept(secrets) == {"key"}
        assert kube.asked == 1

    run(scene())


def test_several_wanted_keys_of_one_secret_cost_one_request_a_minute() -> None:
    async def scene() -> None:
        secrets = Secrets(kube := Kube(user=b"me", password=b"it", ca=b"pem", other=b"x"), Clock())
        also = {"password": LARGEST_CREDENTIAL, "ca": LARGEST_BUNDLE}
        for minute in range(1, 4):
            assert await secrets.value("ns", "s", "user", also=also) == "me"
            assert await secrets.value("ns", "s", "password", also=also) == "it"
            assert await secrets.content("ns", "s", "ca") == b"pem"
            assert kube.asked == minute
            await asyncio.sleep(LIFETIME + 1)
        assert kept(secrets) == {"user", "password", "ca"}

    run(scene())


def test_a_key_that_another_connection_wants_is_kept_beside_those_that_are() -> None:
    async def scene() -> None:
        secrets = Secrets(kube := Kube(a=b"1", b=b"2"), Clock())
        for _ in range(3):
            assert await secrets.value("ns", "s", "a") == "1"
            assert await secrets.value("ns", "s", "b") == "2"
        assert kube.asked == 2

    run(scene())


def test_what_is_not_asked_for_any_more_is_forgotten() -> None:
    async def scene() -> None:
        secrets = Secrets(Kube(a=b"1", b=b"2"), Clock())
        await secrets.value("ns", "s", "a", also={"b": LARGEST_CREDENTIAL})
        await asyncio.sleep(LIFETIME + 1)
        await secrets.value("ns", "s", "a")
        assert kept(secrets) == {"a"}, "nobody wants the other one now"
        await asyncio.sleep(LIFETIME + 1)
        secrets.forget_old()
        assert kept(secrets) == set()

    run(scene())


def test_a_missing_key_is_told_without_the_names_of_the_others_and_found_once_it_is_there() -> None:
    async def scene() -> None:
        secrets = Secrets(kube := Kube(confidential=b"x"), Clock())
        with pytest.raises(ConnectionNotFound) as told:
            await secrets.value("ns", "s", "key")
        assert str(told.value) == "Secret ns/s has no key key"
        kube.data["key"] = base64.b64encode(b"it").decode()
        assert await secrets.value("ns", "s", "key") == "it"

    run(scene())


@pytest.mark.parametrize("size", [LARGEST_CREDENTIAL - 1, LARGEST_CREDENTIAL, LARGEST_CREDENTIAL + 1, 10**6])
def test_a_value_that_is_too_large_for_a_credential_is_told_and_not_kept(size: int) -> None:
    async def scene() -> None:
        secrets = Secrets(Kube(key=b"x" * size), Clock())
        if size <= LARGEST_CREDENTIAL:
            assert len(await secrets.value("ns", "s", "key")) == size
            return
        with pytest.raises(
            ConnectionNotFound, match=rf"key key of Secret ns/s has {size} bytes, and no more than 65536"
        ):
            await secrets.value("ns", "s", "key")
        ((value, *_),) = [list(one.values.values()) for one in secrets._known.values()]
        assert len(value) < 100

    run(scene())


def test_a_bundle_may_be_larger_than_a_credential_and_no_key_is_taken_for_the_other() -> None:
    async def scene() -> None:
        secrets = Secrets(Kube(both=b"x" * (LARGEST_CREDENTIAL + 1), huge=b"x" * (LARGEST_BUNDLE + 1)), Clock())
        for _ in range(2):
            assert len(await secrets.content("ns", "s", "both")) == LARGEST_CREDENTIAL + 1
            with pytest.raises(ConnectionNotFound, match="no more than 65536 are taken"):
                await secrets.value("ns", "s", "both")
        with pytest.raises(ConnectionNotFound, match="no more than 524288 are taken"):
            await secrets.content("ns", "s", "huge")

    run(scene())


@pytest.mark.parametrize("raw", ["not base64!", "YQ=", "Y", "Y===", "===="])
def test_a_value_that_is_no_base64_is_told(raw: str) -> None:
    async def scene() -> None:
        kube = Kube()
        kube.data["key"] = raw
        with pytest.raises(ConnectionNotFound, match="key key of Secret ns/s is not base64"):
            await Secrets(kube, Clock()).value("ns", "s", "key")

    run(scene())
