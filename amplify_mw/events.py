"""Events: what happened to sessions, for metrics, audits and alerts.

`AmplifyConfig(on_event=function)` calls the function with each of them; the library's log gets them
first.

Rules:
- Each kind of event is made in one place; its docstring says when.
- No event holds a token, a cookie's value, a code, a state or an attribute, and no `repr` shows a
  user's id. `user_id` is the `sub`: it names an account, and no person, to outsiders.
- `path` has no query. `method` and `path` are escaped and cut: they are fit for a log, not for a
  comparison with routes. Both are None in work that several requests share, and once a response
  has begun.
- `session` is the kind of session: "token", "sealed", "stored" or "amplify". It is None if several
  kinds are configured and none of them knows the user. `pool_id` and `client_id` are those of the
  token; without a verified token, those of the configuration if it names only one; else None.
- Read fields by name: later versions may add some at the end.

(They are named tuples: frozen dataclasses would take ten times as long to import.)
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from .effects import Notice as Notice
from .effects import Outage as Outage
from .effects import Rejection as Rejection

_UNSEEN: Final = frozenset({"user_id"})


def _repr(event: tuple[object, ...]) -> str:
    """An event without the fields that name a user."""
    names: tuple[str, ...] = getattr(event, "_fields", ())
    fields = zip(names, event, strict=True)
    shown = [f"{name}={value!r}" for name, value in fields if name not in _UNSEEN]
    return f"{type(event).__name__}({', '.join(shown)})"


class SignedIn(NamedTuple):
    """A session was started: by the sign-in routes, or by `start_session`.

    Made once its tokens were verified and kept, before the response goes. A request that brings the
    cookie of a session makes no event.
    `by`: "routes" or "app".
    """

    by: Literal["routes", "app"]
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    method: str | None = None
    path: str | None = None

    def __repr__(self) -> str:
        return _repr(self)


class SignInFailed(NamedTuple):
    """A sign-in came to nothing: at the sign-in routes, or as `start_session` refused its tokens.

    `reason`: a code of the sign-in routes, such as `access_denied` (the README lists them); of
    `start_session`, an error's `reason`. `by`: "routes" or "app". `status`: the HTTP status for it.
    `pool_error`: the user pool's own code, such as `invalid_scope`. `detail`: more, in words.
    `mend`: what an operator can do about it; empty if there is nothing to do.
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


class Refused(NamedTuple):
    """A request was refused as that of a signed-in user. Once per request and reason.

    Made when a session's cookie does not count (whether or not the app asks for the user), when
    `require_auth` or a protected path stops a request, when a verb refuses (`cross_site`), and when
    an error that the app let through is answered. So is a request of another site's page
    (`foreign_origin`). A visitor without a cookie is no refusal (`no_session`) until one of these
    stops the request: an app that merely asks for the user makes no event.
    `reason`: an error's `reason`, or `foreign_origin`. `status`: the HTTP status that it means: 503
    if the session could not be checked and is kept. `at`: what refused: "cookie", "require_auth",
    "answer" (the library answers in the app's place), "app" (a verb raised), or a verb by its name.
    `detail`: more, in words: the page's origin, or the issuer or app client that an unverified
    token claims to be of.
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

    def __repr__(self) -> str:
        return _repr(self)


class SignedOut(NamedTuple):
    """A session was ended by its user or the app.

    Made when it has ended in the store, or where else its end is remembered; no matter if the
    request is cancelled meanwhile. (Sessions that run out, or that Cognito ends, are `Refused` when
    their cookie comes again.)
    `how`: "here" (`end_session`, the sign-out route), "everywhere" (of all the user's sessions, one
    event), "handle" (`end_session_by_handle`), or "replaced" (by a new sign-in).
    """

    how: Literal["here", "everywhere", "handle", "replaced"]
    session: str | None = None
    pool_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    method: str | None = None
    path: str | None = None

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
    """Cognito was asked to revoke the tokens of a session that has ended. Made when that is over.

    `is_done`: False if Cognito refused, or did not answer however often it was asked. `reason`: why
    not; "" if it was done. `everywhere`: all of the user's tokens (`GlobalSignOut`).
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

    listener: "Callable[[Event], object] | None"

    def is_heard(self) -> bool:
        """Whether anybody looks at events of requests: a listener, or the log at DEBUG."""
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

    def notice(self, text: str) -> None:
        """Tell an operator something else."""
        ...

    def is_first(self, kind: str, detail: str = "") -> bool:
        """Whether this was not told yet, nor too many details of its kind."""
        ...

    def is_news(self, kind: object, now: float) -> bool:
        """Whether something of a few kinds was not told within the last hour."""
        ...
