"""BlackSheep: `handle_auth_errors(app)`, and its own idea of a user, `AmplifyAuthentication`.

    app = Application()
    handle_auth_errors(app)
    app.use_authentication().add(AmplifyAuthentication())      # `request.user`, `@auth()`
    app.use_authorization()

BlackSheep turns every exception into a 500, and closes a WebSocket with 1011, before the middleware
could see it.

Rules:
- Also a refusal of `@auth()` gets the guard's answer: 401 for nobody, 403 for a user.
- Nothing is decided before somebody asks: `request.user` costs a page nothing that is open to all.
"""

from collections.abc import Callable
from typing import Any, Final

from blacksheep import Application, Content, Response
from blacksheep.middlewares import MiddlewareCategory
from blacksheep.server.authorization import handle_forbidden, handle_unauthorized
from guardpost import AuthenticationHandler, ForbiddenError, UnauthorizedError, User

from ..engine.context import bound
from ..errors import AuthError, ForbiddenException
from ..models import AuthUser
from ..verbs.request_user import RequestUser
from .answering import answer_for, refuse_socket

MODE: Final = "amplify"


class AmplifyUser(User):
    """The user of a request, as BlackSheep has one. `roles` are the pool's groups."""

    def __init__(self, user: RequestUser) -> None:
        self._user = user
        self.access_token: str | None = None
        self.refresh_token: str | None = None

    @property
    def user(self) -> AuthUser:
        """The `AuthUser`. Raises the errors of `get_current_user`."""
        return self._user.user

    @property
    def claims(self) -> dict[str, Any]:  # type: ignore[override]  # asked for when it is read
        """`sub`, `name` and `roles`; nothing for nobody."""
        if not self._user.is_authenticated:
            return {}
        user = self._user.user
        return {"sub": user.user_id, "name": user.username, "roles": list(user.groups)}

    @property
    def authentication_mode(self) -> str | None:  # type: ignore[override]
        """`"amplify"` for a signed-in user, else None."""
        return MODE if self._user.is_authenticated else None


class AmplifyAuthentication(AuthenticationHandler):
    """Makes the signed-in user `request.user`."""

    def authenticate(self, _context: Any) -> AmplifyUser | None:
        """The user of this request; None where no middleware of ours is around."""
        visit = bound()
        return None if visit is None else AmplifyUser(RequestUser.of(visit))


def handle_auth_errors(app: Application) -> None:
    """Answer an `AuthError`, or a refusal of `@auth()`, as the guard would.

    A handler of the app's own for a subclass, such as `NetworkError`, comes first. Call it before
    the app starts.
    """
    app.exceptions_handlers[AuthError] = _answer
    app.exceptions_handlers[UnauthorizedError] = _answer_unauthorized
    app.exceptions_handlers[ForbiddenError] = _answer_unauthorized
    app.middlewares.append(_refusing_sockets, MiddlewareCategory.INIT, -1000)


async def _answer(_app: Any, request: Any, error: AuthError) -> Response:
    answer = answer_for(request.scope, error)
    headers = dict(answer.octets)
    kind = headers.get(b"content-type")
    content = None if kind is None else Content(kind, answer.body)
    rest = [pair for pair in answer.octets if pair[0] not in (b"content-type", b"content-length")]
    return Response(answer.status, rest, content)


async def _answer_unauthorized(app: Any, request: Any, error: UnauthorizedError) -> Response:
    if bound() is None:
        is_user = isinstance(error, ForbiddenError)
        return await (handle_forbidden if is_user else handle_unauthorized)(app, request, error)
    return await _answer(app, request, _reason())


def _reason() -> AuthError:
    """The error that the guard would have raised."""
    visit = bound()
    assert visit is not None  # noqa: S101
    try:
        RequestUser.of(visit).user  # noqa: B018  # it raises for nobody
    except AuthError as nobody:
        return nobody
    return ForbiddenException(reason="not_permitted")


async def _refusing_sockets(request: Any, handler: Callable[[Any], Any]) -> Any:
    if request.scope["type"] != "websocket":
        return await handler(request)
    try:
        return await handler(request)
    except (AuthError, UnauthorizedError) as raised:
        if bound() is None:
            raise
        error = raised if isinstance(raised, AuthError) else _reason()
        await refuse_socket(request.scope, request._send, error, accepted=request.accepted)
