"""A remote that nobody reaches for a while: told as such, and each kind ends at its spec when it is back."""

import pytest

from tests.e2e.faults.ground import NAME, PLURALS, Ground
from tests.e2e.proxy import Proxy

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("fault", ["connection refused", "connect timeout"])
def test_nobody_reaches_a_remote(here: Ground, fault: str) -> None:
    silent = fault == "connect timeout"
    with Proxy(here.remotes["das"].url) as models, Proxy(here.remotes["mcg"].url) as gateway:
        here.connect(models.url, gateway.url)
        here.apply_all(7)
        here.settled(7)
        with models.gone(silent=silent), gateway.gone(silent=silent):
            here.apply_all(8)
            here.wait(lambda: all(here.condition(kind, NAME).get("reason") == "RemoteUnreachable" for kind in PLURALS))
            said = {here.condition(kind, NAME)["message"] for kind in PLURALS}
        here.settled(8)
    assert all(("did not answer" in message) is silent for message in said), said
    here.held(fault, bound=2)
