"""Events: what happened to sessions, for metrics, audits and alerts.

`AmplifyConfig(on_event=function)` calls the function with each of them; the library's log gets them
first.

Rules:
- Each kind of event is made in one place; its docstring says when.
- No event holds a token, a cookie's value, a code, a state or an attribute. `user_id` is the `sub`:
  an account's id, which names no person to an outsider.
- `path` has no query. `method` and `path` are escaped and cut: they are fit for a log, not for a
  comparison with routes. Both are None in work that several requests share, and may be None once
  a response has begun.
- `session` is the kind of session: "token", "sealed", "stored" or "amplify", "bearer" for a
  request with a Bearer token, or "handover" for a job, which belong to none. It is None if several
  kinds are configured and none of them knows the user. `pool_id` and `client_id` come from a
  verified token, or from the configuration if it names only one; else they are None.
- `handle` names the session as `list_sessions()` shows it: it gives no access. None if the kind of
  session keeps no list, or the session is unknown. It is read from what is at hand: no store is
  asked for it.
- `address` is the client's IP address in the header that `AmplifyConfig(client_address=...)` names,
  in its one spelling; None without that option, and for anything that is no address.
- `user_id`, `handle` and `address` are for the listeners alone: no `repr` shows them.
- Read fields by name: later versions may add some at the end.

(They are named tuples: frozen dataclasses would take ten times as long to import.)
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from .effects import Notice as Notice
from .effects import Outage as Outage
from .effects import Rejection as Rejection

_UNSEEN: Final = frozenset({"user_id", "handle", "address"})


def _repr(event: tuple[object, ...]) -> str:
    """An event without the fields that lead to a user, a session or a machine."""
    names: tuple[str, ...] = getattr(event, "_fields", ())
    fields = zip(names, event, strict=True)
    shown = [f"{name}={value!r}" for name, value in fields if name not in _UNSEEN]
    return f"{type(event).__name__}({', '.join(shown)})"


class SignedIn(NamedTuple):
    """A session was started: by the sign-in routes, or by `start_session`.

    Made as soon as its tokens were verified and kept, before the response goes. Later requests with
    the session's cookie make no event.
    `by`: "routes" or "app".
    """

    by: Literal["routes", "app"]
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    method: str | None = None
    path: str | None = None
    handle: str | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class SignInFailed(NamedTuple):
    """A sign-in came to nothing: at the sign-in routes, or because `start_session` raised.

    `reason`: a code of the sign-in routes, such as `access_denied` (see "Errors and reasons"); for
    `start_session`, an error's `reason`. `by`: "routes" or "app". `status`: the HTTP status for it.
    `pool_error`: the user pool's own code, such as `invalid_request`. `detail`: more, in words.
    `mend`: advice for an operator; empty if there is nothing to do.
    """

    reason: str
    by: Literal["routes", "app"]
    status: int
    pool_error: str | None = None
    detail: str = ""
    mend: str = ""
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    method: str | None = None
    path: str | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class Refused(NamedTuple):
    """A request was refused. Once per request and reason.

    Made when a session's cookie does not count (even if the app never asks for the user), when
    `require_auth` or a protected path stops a request, when another site's page asks for something
    (`foreign_origin`), when a verb refuses (`cross_site`), and when an error of this library leaves
    the app and is answered. A visitor without a cookie (`no_session`) makes no event until one of
    these stops the request: a page that merely asks for the user is open to all.
    `reason`: an error's `reason`, or `foreign_origin`. `status`: the HTTP status of the answer, or
    the usual one for the reason; 503 if the session could not be checked, and is kept. `at`:
    "cookie", "header", "require_auth", "answer" (the library answered in the app's place), "app" (a
    verb raised), or a verb by its name. `detail`: more, in words: the page's origin; the issuer or
    app client in an unverified token; or that the pool's limit of sessions has evicted this one.
    """

    reason: str
    status: int
    at: str
    detail: str = ""
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    method: str | None = None
    path: str | None = None
    handle: str | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class SignedOut(NamedTuple):
    """A session was ended by its user or the app.

    Made when its end has been stored, even if the request is cancelled meanwhile. Its `Revoked` may
    come first. (A session that has expired, or was ended by Cognito, is `Refused` when its cookie
    is sent again.)
    `how`: "here" (`end_session`, the sign-out route), "everywhere" (of all the user's sessions, one
    event), "handle" (`end_session_by_handle`), or "replaced" (by a new sign-in). `handle`: of the
    session that has ended; with "everywhere", of the one that was used for it; with
    `source="cognito"`, Cognito's own handle.
    """

    how: Literal["here", "everywhere", "handle", "replaced"]
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    method: str | None = None
    path: str | None = None
    handle: str | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class Refreshed(NamedTuple):
    """Cognito gave a session new tokens, and they were kept. Once, however many requests wait."""

    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class Revoked(NamedTuple):
    """Cognito was asked to revoke the tokens of an ended session. Made after the last try.

    `is_done`: False if Cognito refused, or did not answer in three tries. `reason`: why; "" if it
    is done. `everywhere`: all of the user's tokens (`GlobalSignOut`).
    """

    is_done: bool
    reason: str = ""
    everywhere: bool = False
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


Event: TypeAlias = (
    SignedIn
    | SignInFailed
    | Refused
    | SignedOut
    | Refreshed
    | Revoked
    | Outage
    | Rejection
    | Notice
)


class Reporting(Protocol):
    """Tells the log and the app's listener of events."""

    listeners: "tuple[Callable[[Event], object], ...]"
    counts: bool
    """Whether `count_refusal` is to be called."""
    notes: bool
    """Whether each refusal is noted with its request, even if nobody reads its event."""

    def is_heard(self) -> bool:
        """Whether there is a reader for the event of a refusal: a listener, or the log at DEBUG."""
        ...

    def report(
        self,
        event: Event,
        *,
        loudly: bool = False,
        error: BaseException | None = None,
        is_new: bool = True,
    ) -> None:
        """Tell of an event, at once. `loudly`: at WARNING. `error`: its traceback, for the log.

        `is_new`: False for the log alone.
        """
        ...

    def count_refusal(self, reason: str, status: int, session: str | None) -> None:
        """Tell telemetry that counts refusals, without an event."""
        ...

    def notice(self, text: str, reason: str | None = None) -> None:
        """Tell an operator something else. `reason`: that of the refusals it is about."""
        ...

    def is_first(self, kind: str, detail: str = "") -> bool:
        """Whether this is to be told: it was not yet, nor too many details of its kind."""
        ...

    def is_news(self, kind: object, now: float) -> bool:
        """Whether this is to be told again: not if it was within the last hour."""
        ...
