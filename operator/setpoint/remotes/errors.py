"""Everything that a remote API's client raises.

    RemoteError                      something went wrong at the remote API
    ├─ PermanentError                does not pass by itself: the spec or the remote has to change
    │  ├─ InvalidSettings            400, 422 and every 4xx that has no line of its own here
    │  ├─ TargetNotFound             404, or a name or id that a list does not have
    │  │  └─ AmbiguousName           several things share the name
    │  ├─ HostNotAllowed             the host's name leads to an address that is off limits; nothing was sent
    │  └─ UnexpectedAnswer           a redirect, or a page of HTML where JSON should be: not the API it is said to be
    ├─ CredentialError               concerns the whole connection, not one resource
    │  ├─ AuthenticationFailed       401, or a key that cannot be sent
    │  └─ Forbidden                  403
    └─ TransientError                passes by itself
       ├─ RateLimited                429
       ├─ RemoteFailure              5xx, 408, 409, 425
       │  └─ UnreadableAnswer        a 2xx that cannot be understood, is empty or too large; `status` is that 2xx
       └─ RemoteUnreachable          no answer: name not resolved, connection refused or broken, timeout

Each carries one sentence for people, fit for a status. No text of an error holds a credential: the clients take it out
of whatever a remote says before they make an error of it.
"""

from setpoint.resources.common import clean_message


class RemoteError(Exception):
    """Something went wrong at a remote API; `str()` is one sentence for people."""

    def __init__(self, message: str, *, status: int | None = None, api_message: str | None = None) -> None:
        self.message = clean_message(message)
        """One sentence: what happened, to which request or thing."""
        self.status = status
        """HTTP status of the answer; None where there was none or it is not what went wrong."""
        self.api_message = None if api_message is None else clean_message(api_message)
        """The remote's own words, if it had any."""
        super().__init__(self.message)


class PermanentError(RemoteError):
    """The same request would fail again until the spec or the remote changes."""


class InvalidSettings(PermanentError):
    """The remote refuses what was asked of it."""


class TargetNotFound(PermanentError):
    """What the request is about does not exist, or is hidden from this credential."""


class AmbiguousName(TargetNotFound):
    """Several things share the name, so that it names none of them."""


class HostNotAllowed(PermanentError):
    """The host's name leads to an address that connections may not reach."""


class UnexpectedAnswer(PermanentError):
    """What answers is not the API it is said to be; `status` is that of the answer, which may be a 2xx."""


class CredentialError(RemoteError):
    """The credential is not good enough: everything on this connection is concerned."""


class AuthenticationFailed(CredentialError):
    """The credential is not known to the remote, or cannot be sent at all."""


class Forbidden(CredentialError):
    """The credential is known, but may not do this."""


class TransientError(RemoteError):
    """The same request may succeed later."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        api_message: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, api_message=api_message)
        self.retry_after = retry_after
        """Seconds the remote asks to wait; None where it does not say."""


class RateLimited(TransientError):
    """Too many requests; `retry_after` is always known."""


class RemoteFailure(TransientError):
    """The remote answered, but not with something that can be used."""


class UnreadableAnswer(RemoteFailure):
    """The remote did what was asked, or says so, in an answer that cannot be understood."""


class RemoteUnreachable(TransientError):
    """There was no answer, or not all of it."""

    def __init__(self, message: str, *, repeatable: bool = False) -> None:
        super().__init__(message)
        self.repeatable = repeatable
        """The request had no effect, so that it may be sent again at once."""
