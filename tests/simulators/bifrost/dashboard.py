"""What the gateway answers at paths that are none of its API's: its dashboard, with success.

A wrong path, a gateway without a config store and a release older than the endpoint all look like this.
"""

from pathlib import PurePosixPath

from tests.simulators.api import Reply

_TEXT = {"content-type": "text/plain; charset=utf-8"}

PAGE = Reply(
    200,
    b'<!doctype html><html><head><title>Bifrost</title></head><body><div id="root"></div></body></html>',
    {"content-type": "text/html; charset=utf-8"},
)
NOT_ALLOWED = Reply(405, b"Method Not Allowed", _TEXT)
NO_BACKEND = Reply(404, b"default backend - 404", _TEXT)
"""What an ingress says of paths before the gateway's prefix."""


def answer(method: str, path: str) -> Reply:
    """Return the dashboard for every GET, unless the path is one of a file that is not there."""
    if method != "GET":
        return NOT_ALLOWED
    if "." in PurePosixPath(path).name:
        return Reply(404, f"404 - Static asset not found: {path}".encode(), _TEXT)
    return PAGE


def moved(method: str, url: str) -> Reply:
    """Return the way to a path of the API that was asked for with a slash at its end."""
    return Reply(301 if method == "GET" else 308, b"", {"location": url, **_TEXT})
