"""Every error this library raises.

    AuthError                       about the user; `status_code` is the status to answer
    ├── NotAuthorizedException      401  nobody is signed in, or no longer
    │   └── TokenExpiredException   401  the token has expired
    ├── StepUpRequiredException     401  signed in too long ago, or too weakly: sign in again
    ├── ForbiddenException          403  signed in, but lacks a group, a scope or a claim
    ├── InvalidRequestException     400  an Authorization header that cannot be used
    ├── UserNotConfirmedException   403  the account waits for its confirmation
    └── NetworkError                503  cannot be checked now; nothing was cleared, try again
    OutsideRequestError             no middleware around, or the request is over (a RuntimeError)
    └── NotHandedOverError          a job asks for more than it was given (an OutsideRequestError)
    ResponseStartedError            too late: the headers are sent (a RuntimeError)
    SessionTooLargeError            the tokens do not fit the cookies, or the store (a ValueError)
    BlockingCallError               a blocking function, called on an event loop (a RuntimeError)
    ConfigurationError              a wrong setting, and what to write instead (a ValueError)

Rules:
- Each subclass is for callers that handle it differently. `name` is Amplify's own name for the
  error (a plain `AuthError` has one of Cognito's names), and `reason` is the exact cause. Reasons
  are for logs; they never reach a client's body.
- No message, attribute or repr holds a token, a cookie, a code or a key.
"""

from typing import Any, Literal

Reason = Literal[
    "no_session",  # no cookie was sent
    "not_a_person",  # a machine's token, and a user was asked for
    "malformed_header",  # an Authorization header of Bearer, and not one token
    "different_credentials",  # a Bearer token and a session's cookie of different principals
    "bearer_request",  # a request with a Bearer token asked for a session to be started or ended
    "duplicate_cookie",  # the cookie was sent twice, with different values
    "different_users",  # cookies of two kinds of session name different users
    "malformed_token",  # not a JWT in the one strict spelling accepted
    "unsupported_algorithm",  # not RS256
    "wrong_issuer",  # made by a pool that is not configured
    "unknown_key",  # signed with a key the pool does not have
    "bad_signature",
    "wrong_token_use",  # neither an ID nor an access token
    "wrong_client",  # made for another app client
    "wrong_audience",  # an access token for another API (`AmplifyConfig(audience=...)`)
    "token_expired",
    "token_not_yet_valid",  # nbf or iat lies in the future
    "missing_claim",  # no sub or no username
    "session_revoked",  # ended, here or by Cognito itself: signed out everywhere, or disabled
    "invalid_session",  # a sealed bundle or a session id that means nothing here
    "unknown_session_key",  # sealed with a key that is not here; another process may have it
    "session_expired",  # not used for too long, or begun too long ago
    "token_too_large",  # Cognito's new tokens do not fit the session
    "token_mismatch",  # the tokens of one session name different users, pools or clients
    "missing_token",  # a session is started with both tokens; or one that it lacks is asked for
    "cross_site",  # another site asked for a session to be started or ended
    "speculative_request",  # or a browser did, ahead of any click: a prefetch, a prerender
    "refresh_token_reused",  # rotation has replaced it; a newer cookie may be on its way
    "user_not_found",  # deleted since
    "user_not_confirmed",
    "password_reset_required",
    "invalid_handover",  # a job's text of `hand_over_user` that does not open here
    "handover_expired",  # its time is over
    "missing_group",
    "missing_scope",
    "unmet_claim",  # a claim of the token has another value than a guard asks for, or is missing
    "not_permitted",  # a guard's `check` says no
    "not_fresh",  # a guard asks for a more recent sign-in
    "acr_too_low",  # a guard asks for another kind of sign-in (`acr`)
    "not_refreshable",  # a refresh was asked of a session that has no refresh token
    "keys_unavailable",  # the key set cannot be fetched now
    "store_unavailable",  # the session store cannot be asked now
    "throttled",  # Cognito asked us to slow down
    "cognito_unavailable",  # no answer, a 5xx, or not Cognito's kind of answer
    "cognito_misconfigured",  # Cognito refuses the app client or the set-up; the log says the mend
    "firewall_blocked",  # the web ACL of the user pool blocks this server's requests
    "client_not_found",  # the app client was deleted since
    "trigger_refused",  # a Lambda trigger of the user pool refuses this user
    "trigger_failed",  # a Lambda trigger of the user pool failed
    "cognito_error",  # any other error of Cognito's
]
"""The exact cause of a refusal: stable, lower_snake, for logs."""


class AuthError(Exception):
    """The user of this request cannot be signed in, or may not do this."""

    name: str = "AuthError"
    """Amplify's name for the error."""

    status_code: int = 500
    """The HTTP status to answer."""

    message: str = "The authentication service refused the request."
    """A sentence in English, fit to be shown to users."""

    recovery_suggestion: str = "Look up the name of this error in the Amazon Cognito API reference."
    """A sentence in English: how to go on."""

    reason: Reason
    """The exact cause, for logs."""

    retry_after: float | None
    """Seconds after which to try again, or None."""

    scopes: tuple[str, ...] = ()
    """With the reason `missing_scope`: the scopes that are asked for, if they are known."""

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: Reason,
        name: str | None = None,
        status_code: int | None = None,
        recovery_suggestion: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message or self.message
        self.reason = reason
        self.name = name or self.name
        self.status_code = status_code or self.status_code
        self.recovery_suggestion = recovery_suggestion or self.recovery_suggestion
        self.retry_after = retry_after
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.__dict__)


def _revive(kind: type[AuthError], facts: dict[str, Any]) -> AuthError:
    error = kind(facts["message"], reason=facts["reason"])
    error.__dict__.update(facts)
    return error


class NotAuthorizedException(AuthError):
    """Nobody is signed in (401)."""

    name = "NotAuthorizedException"
    status_code = 401
    message = "User needs to be authenticated to call this API."
    recovery_suggestion = "Sign in before calling this API again."


class TokenExpiredException(NotAuthorizedException):
    """The token has expired (401)."""

    name = "TokenExpiredException"
    message = "The session has expired."


class ForbiddenException(AuthError):
    """Signed in, but without a required group, scope or claim (403)."""

    name = "ForbiddenException"
    status_code = 403
    message = "The signed-in user may not do this."
    recovery_suggestion = "Sign in as a user who has the group, scope or claim asked for."


class StepUpRequiredException(AuthError):
    """Signed in, but too long ago, or not by the means that a guard asks for (401).

    It is no `NotAuthorizedException`: a plain sign-in page would send a signed-in user straight
    back. The middleware sends browsers to the sign-in routes with `max_age` and `acr_values`.
    """

    name = "StepUpRequiredException"
    status_code = 401
    message = "This needs a new sign-in, although the user is signed in."
    recovery_suggestion = "Sign in again, with the max_age and acr_values of this error."

    max_age: int | None = None
    """The most seconds since the user has shown who they are, or None for any."""

    acr_values: tuple[str, ...] = ()
    """The accepted values of the `acr` claim, the preferred one first; empty for any."""


class InvalidRequestException(AuthError):
    """The request's Authorization header cannot be used (400)."""

    name = "InvalidRequestException"
    status_code = 400
    message = "The Authorization header of this request cannot be used."
    recovery_suggestion = "Send one access token as a Bearer token, and no cookie of another user."


def bearer_request() -> InvalidRequestException:
    """The error for a session that a request with a Bearer token asks for, or asks to end."""
    return InvalidRequestException(
        "A request with a Bearer token starts and ends no session of a cookie.",
        reason="bearer_request",
        recovery_suggestion="Leave the Authorization header out.",
    )


class UserNotConfirmedException(AuthError):
    """The user has not confirmed the account (403)."""

    name = "UserNotConfirmedException"
    status_code = 403
    message = "User is not confirmed."
    recovery_suggestion = "Confirm the account with the code that was sent, then sign in again."


class NetworkError(AuthError):
    """The user cannot be checked now, because something else is down (503)."""

    name = "NetworkError"
    status_code = 503
    message = "A network error has occurred."
    recovery_suggestion = "Try again in a moment; the session was kept."


_OUTSIDE = {
    False: (
        "No request is being handled here: wrap the app in AmplifyWSGIMiddleware or "
        "AmplifyASGIMiddleware (and see that its `ignore` list does not cover this path). "
        "For a thread or an executor, pass carry(function). "
        "In a background job, write `with acting_as(handed_over, config):`, with the text of "
        "hand_over_user() in the request. With a request's headers at hand, call "
        "user_of(headers, config). "
        "In a unit test, use `with amplify_mw.testing.signed_in('ada'):`."
    ),
    True: (
        "The request is over, and its user with it: this code was started in a request, and runs "
        "on. To take the user along on purpose, call carry(function) in the request, as in "
        "create_task(carry(send_mail)(...)) or executor.submit(carry(send_mail)). A queue or a "
        "scheduler for all users: start it with the app, not in a request."
    ),
}


class OutsideRequestError(RuntimeError):
    """A function was called outside of any request with a middleware, or after its request.

    `is_over`: this code was started in a request, which is over.
    """

    def __init__(self, *, is_over: bool = False) -> None:
        super().__init__(_OUTSIDE[is_over])
        self.is_over: bool = is_over

    def __reduce__(self) -> tuple[Any, ...]:
        return _outside, (self.is_over,)


def _outside(is_over: bool) -> OutsideRequestError:
    return OutsideRequestError(is_over=is_over)


class NotHandedOverError(OutsideRequestError):
    """A job asks for something of its user that was not handed over.

    `what`: such as "the access token".
    """

    def __init__(self, what: str) -> None:
        RuntimeError.__init__(
            self,
            f"This job acts for a user who was handed over, and asks for {what}: it has the user's "
            "identity and groups, the claims named in hand_over_user(claims=[...]), and no tokens. "
            "Do this in the request, and give the job the result.",
        )
        self.is_over = False
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what,)


class ResponseStartedError(RuntimeError):
    """A session cannot be started or ended: the response's headers are sent."""

    def __init__(self, verb: str) -> None:
        super().__init__(
            f"{verb}() came too late: the headers of this response, and the cookie with them, have "
            "been sent. Call it before the response is started, not in a streamed body, a "
            "background task or an open WebSocket."
        )
        self.verb = verb

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.verb,)


_TOO_LARGE = {
    "cookies": (
        "this session takes {size} bytes of cookies, and {limit} are allowed",
        "keep sessions in a store (StoredSession), or seal them and allow more with "
        "SealedSession(max_bytes=...), as far as your servers accept such headers (each of "
        "Amplify's own cookies has to fit a browser's 4,096)",
    ),
    "token": (
        "a token of this session is {size} bytes long, and {limit} are allowed",
        "or allow more with StoredSession(max_token_bytes=...)",
    ),
}


class SessionTooLargeError(ValueError):
    """A session takes more bytes than allowed: `size` of `limit`.

    `of`: the size of all its cookies together, or of one token in a store.
    """

    def __init__(self, size: int, limit: int, of: Literal["cookies", "token"] = "cookies") -> None:
        takes, mend = _TOO_LARGE[of]
        super().__init__(
            takes.format(size=size, limit=limit) + ": leave groups and custom attributes out of "
            f"the tokens (a pre token generation trigger can), {mend}"
        )
        self.size = size
        self.limit = limit
        self.of = of

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.size, self.limit, self.of)


class BlockingCallError(RuntimeError):
    """A function that blocks was called on a running event loop's thread."""

    def __init__(self, verb: str) -> None:
        super().__init__(
            f"{verb}() may wait for the network and would stop this event loop: write "
            f"`from amplify_mw.aio import {verb}` and `await {verb}()`."
        )
        self.verb = verb

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.verb,)


class ConfigurationError(ValueError):
    """A setting is missing, wrong, or contradicts another. The message says what to write."""


def check_number(name: str, value: object, least: float, most: float) -> None:
    """Raise `ConfigurationError` unless `value` is a number from `least` to `most`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= float(str(value)) <= most:
        raise ConfigurationError(
            f"{name}: write a number from {_plain(least)} to {_plain(most)}; got {value!r}"
        )


def _plain(number: float) -> str:
    """A number as people write it: 3,600 rather than 3,600.0."""
    return f"{int(number) if number == int(number) else number:,}"


def kind_of(value: object) -> str:
    """Describe a wrong value for an error: `the class MemoryStore`, or its type's name."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
