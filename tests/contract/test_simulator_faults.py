"""What a simulator can be told to do wrong, what it remembers, and how it lives and ends."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.contract.baseten_examples import DEPLOYMENTS
from tests.simulators.faults import (
    DONE_UNCLEARLY,
    ELSEWHERE,
    Compress,
    Delay,
    Drop,
    Encoding,
    Fault,
    Huge,
    Respond,
    Truncate,
)
from tests.simulators.journal import JournalEntry
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

NEVER = 3600
ROOT = Path(__file__).parents[2]
WRITE = f"{DEPLOYMENTS}/d-free/autoscaling_settings"
TEMPLATE = "/v1/models/{model_id}/deployments/{deployment_id}/autoscaling_settings"


def write(api: httpx.Client) -> httpx.Response:
    return api.patch(WRITE, json={"max_replica": 4})


def applied(baseten: BasetenSimulator) -> bool:
    """Whether the write has taken effect."""
    settings = baseten.settings(model="m-greeter", deployment="d-free")
    return settings is not None and settings["max_replica"] == 4


def only(baseten: BasetenSimulator) -> JournalEntry:
    """Return the only request there was."""
    (entry,) = baseten.journal()
    return entry


@pytest.fixture(autouse=True)
def _at_once(baseten: BasetenSimulator) -> None:
    baseten.set_converge(0)


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "headers", "content"),
    [
        (503, {"error": "unavailable"}, {"Retry-After": "2"}, b'{"error":"unavailable"}'),
        (502, "<html>Bad gateway</html>", {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"),
        (200, "<html>Log in</html>", {"Content-Type": "text/html"}, b"<html>Log in</html>"),
        (200, '{"status": ', {}, b'{"status": '),
        (200, {"message": "done"}, {}, b'{"message":"done"}'),
        (200, [], {}, b"[]"),
        (500, None, {}, b""),
        (302, None, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
    ],
)
def test_any_answer_can_be_given(
    baseten: BasetenSimulator,
    api: httpx.Client,
    *,
    takes_effect: bool,
    status: int,
    body: object,
    headers: dict[str, str],
    content: bytes,
) -> None:
    baseten.inject(Respond(status=status, body=body, headers=headers, applied=takes_effect))

    response = write(api)

    assert (response.status_code, response.content) == (status, content)
    assert response.headers.items() >= {name.lower(): value for name, value in headers.items()}.items()
    assert "content-type" in response.headers
    assert applied(baseten) == takes_effect
    entry = only(baseten)
    assert (entry.status, entry.fault) == (status, "respond")
    assert write(api).json()["status"] == ("UNCHANGED" if takes_effect else "ACCEPTED")


@pytest.mark.parametrize("takes_effect", [False, True])
def test_the_connection_can_be_dropped(baseten: BasetenSimulator, api: httpx.Client, *, takes_effect: bool) -> None:
    baseten.inject(Drop(applied=takes_effect))

    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending"):
        write(api)

    assert applied(baseten) == takes_effect
    eventually(lambda: baseten.summary()["PATCH", TEMPLATE, None] == 1)
    assert only(baseten).status is None


def test_a_late_answer_can_be_to_a_late_effect(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Delay(seconds=0.5))
    with pytest.raises(httpx.ReadTimeout):
        api.patch(WRITE, json={"max_replica": 4}, timeout=0.1)

    assert not applied(baseten)
    # It takes effect though nobody waits any more.
    eventually(lambda: applied(baseten))


def test_a_late_answer_can_be_to_an_effect_at_once(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Delay(seconds=0.4, applied=True), count=2)
    with pytest.raises(httpx.ReadTimeout):
        api.patch(WRITE, json={"max_replica": 4}, timeout=0.1)
    assert applied(baseten)

    before = time.monotonic()
    assert write(api).json()["status"] == "UNCHANGED"
    assert time.monotonic() - before >= 0.4


def test_a_late_effect_does_not_outlive_a_reset(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Delay(seconds=0.2))
    with pytest.raises(httpx.ReadTimeout):
        api.patch(WRITE, json={"max_replica": 4}, timeout=0.05)
    baseten.reset()
    baseten.set_converge(0)
    # Held longer than the other, so that its answer comes when the other has had its chance.
    baseten.inject(Delay(seconds=0.4))
    assert api.get(f"{DEPLOYMENTS}/d-free").json()["autoscaling_settings"]["max_replica"] == 1

    assert not applied(baseten)
    assert [entry.method for entry in baseten.journal()] == ["GET"]


@pytest.mark.parametrize("takes_effect", [False, True])
def test_an_answer_can_never_come(baseten: BasetenSimulator, api: httpx.Client, *, takes_effect: bool) -> None:
    baseten.inject(Delay(seconds=None, applied=takes_effect))

    with pytest.raises(httpx.ReadTimeout):
        api.patch(WRITE, json={"max_replica": 4}, timeout=0.1)

    assert applied(baseten) == takes_effect
    assert only(baseten).status is None


def test_an_answer_can_be_huge(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Huge(size=300_000), count=2)

    response = write(api)
    assert len(response.content) == 300_000
    assert len(response.json()) == 299_998
    assert "content-length" not in response.headers
    assert not applied(baseten)
    with api.stream("PATCH", WRITE) as stream:
        # Whoever reads no further does no harm.
        next(stream.iter_raw())
    assert write(api).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_can_be_huge_only_when_it_is_unpacked(
    baseten: BasetenSimulator, api: httpx.Client, encoding: Encoding
) -> None:
    baseten.inject(Huge(size=3_000_000, encoding=encoding))

    with api.stream("PATCH", WRITE) as stream:
        packed = b"".join(stream.iter_raw())

    assert stream.headers["content-encoding"] == encoding
    assert len(packed) < 30_000
    assert len(zlib.decompress(packed, wbits=47)) == 3_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_can_be_compressed_though_nobody_asked(
    baseten: BasetenSimulator, api: httpx.Client, encoding: Encoding
) -> None:
    baseten.inject(Compress(encoding=encoding))

    with api.stream("PATCH", WRITE, json={"max_replica": 4}, headers={"Accept-Encoding": "identity"}) as stream:
        packed = b"".join(stream.iter_raw())

    assert stream.headers["content-encoding"] == encoding
    assert json.loads(zlib.decompress(packed, wbits=47))["status"] == "ACCEPTED"
    assert applied(baseten)
    assert only(baseten).response["status"] == "ACCEPTED"
    assert write(api).headers.get("content-encoding") is None


@pytest.mark.parametrize("how", DONE_UNCLEARLY)
def test_a_write_can_take_effect_and_leave_that_in_doubt(
    baseten: BasetenSimulator, api: httpx.Client, how: str
) -> None:
    baseten.inject(DONE_UNCLEARLY[how])

    with suppress(httpx.RemoteProtocolError, httpx.DecodingError):
        response = write(api)
        assert response.status_code in {200, 204}

    assert applied(baseten)
    assert write(api).json()["status"] == "UNCHANGED"


@pytest.mark.parametrize("how", ELSEWHERE)
def test_something_else_can_answer(baseten: BasetenSimulator, api: httpx.Client, how: str) -> None:
    baseten.inject(ELSEWHERE[how])

    assert write(api).status_code in {200, 302}

    assert not applied(baseten)


def test_an_answer_can_be_cut_off(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Truncate())

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        write(api)

    assert applied(baseten)
    eventually(lambda: baseten.summary()["PATCH", TEMPLATE, 200] == 1)


def test_faults_strike_what_they_are_meant_for(baseten: BasetenSimulator, api: httpx.Client) -> None:
    fault = Respond(status=503)
    baseten.inject(fault, method="PATCH", path=r"/d-(free|staging)/", skip=1, count=2)

    statuses = [api.patch(WRITE, json={"max_replica": 4}).status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]

    baseten.inject(fault, method="PATCH", path="d-free", count=None)
    assert api.get(f"{DEPLOYMENTS}/d-free").status_code == 200
    assert api.patch(WRITE.replace("d-free", "d-staging"), json={"max_replica": 4}).status_code == 200
    assert {write(api).status_code for _ in range(5)} == {503}
    baseten.clear_faults()
    assert write(api).status_code == 200


def test_the_first_fault_wins_and_then_the_next(baseten: BasetenSimulator, api: httpx.Client) -> None:
    faults: list[Fault] = [Respond(status=503), Respond(status=500), Respond(status=502)]
    for fault in faults:
        baseten.inject(fault)

    assert [write(api).status_code for _ in range(4)] == [503, 500, 502, 200]


def test_faults_come_before_keys_and_limits(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.inject(Respond(status=503))
    baseten.revoke_key("test-key")

    assert [write(api).status_code for _ in range(2)] == [503, 401]


def test_the_journal_tells_everything(baseten: BasetenSimulator, api: httpx.Client) -> None:
    before = time.time(), time.monotonic()
    write(api)
    api.get("/v1/models?page=a%20b", headers={"X-Own": "Value"})
    api.patch(WRITE, content="{")
    api.get("/v1/none")
    after = time.time(), time.monotonic()

    first, second, third, fourth = baseten.journal()
    assert (first.method, first.path, first.template, first.key) == ("PATCH", WRITE, TEMPLATE, "test-key")
    assert (first.body, first.status, first.fault) == ({"max_replica": 4}, 200, None)
    assert first.response["status"] == "ACCEPTED"
    assert first.headers["authorization"] == "Bearer test-key"
    assert before < (first.wall, first.monotonic) < after
    assert (second.path, second.headers["x-own"], second.body) == ("/v1/models?page=a%20b", "Value", None)
    assert (third.body, third.status, third.response["code"]) == ("{", 400, "VALIDATION_ERROR")
    assert (fourth.template, fourth.status) == ("(none)", 404)
    assert [entry.sequence - first.sequence for entry in (second, third, fourth)] == [1, 2, 3]


def test_the_journal_can_be_narrowed(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_key("second")
    write(api)
    api.get("/v1/models")
    api.get("/v1/chains", headers={"Authorization": "Api-Key second"})

    assert len(baseten.journal(method="GET")) == 2
    assert [entry.path for entry in baseten.journal(key="second")] == ["/v1/chains"]
    assert [entry.method for entry in baseten.journal(path_contains="autoscaling")] == ["PATCH"]
    since = baseten.last()
    assert baseten.journal(since=since) == []
    write(api)
    assert [entry.sequence for entry in baseten.journal(since=since)] == [since + 1]
    assert baseten.count() == 4
    assert baseten.count(method="PATCH", template_contains="deployments", status=200) == 2
    baseten.clear_journal()
    assert (baseten.journal(), baseten.count(), baseten.peak()) == ([], 0, 0)


def test_several_simulators_run_beside_each_other(baseten: BasetenSimulator) -> None:
    with BasetenSimulator.start(rate=1, converge=NEVER, keys=["a", "b"]) as other:
        assert other.url != baseten.url
        with httpx.Client(base_url=other.url, headers={"Authorization": "Bearer b"}, trust_env=False) as api:
            write(api)
            assert not applied(other)
            assert write(api).status_code == 429
            assert api.get("/v1/models", headers={"Authorization": "Bearer test-key"}).status_code == 401
        assert baseten.journal() == []


def test_it_listens_on_the_port_it_is_given(baseten: BasetenSimulator) -> None:
    with BasetenSimulator.start() as first:
        port = httpx.URL(first.url).port
    with BasetenSimulator.start(port=port) as second:
        assert second.url == first.url


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for any more counts."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_it_stops_on_sigterm_even_when_requests_hang(baseten: BasetenSimulator) -> None:
    simulator = BasetenSimulator.start()
    with simulator, httpx.Client(base_url=simulator.url, trust_env=False, timeout=0.1) as api:
        simulator.inject(Delay(seconds=None))
        with pytest.raises(httpx.ReadTimeout):
            api.get("/v1/models")
        os.kill(simulator.pid, signal.SIGTERM)
        eventually(lambda: gone(simulator.pid), timeout=2)
        with pytest.raises(httpx.ConnectError):
            api.get("/v1/models")


def test_it_ends_with_its_parent(baseten: BasetenSimulator) -> None:
    program = """
import json, sys
from tests.simulators.process import BasetenSimulator
print(json.dumps([BasetenSimulator.start().pid]), flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        (pid,) = json.loads(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    eventually(lambda: gone(pid), timeout=5)


def test_it_listens_on_loopback_only(baseten: BasetenSimulator) -> None:
    assert baseten.url.startswith("http://127.0.0.1:")
