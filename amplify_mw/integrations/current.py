"""`current_user`: the user of the request being handled, for frameworks whose idiom that is.

Rules:
- One object for all requests and threads. Each use asks for the request's visit: it is right in
  templates, tasks, and threads with a copy of the context.
- Outside a request all of it raises `OutsideRequestError`, its truth value too: a missing
  middleware, or a request that is over, must never look like a visitor. (Werkzeug's `LocalProxy` is
  false there, and looks awaitable to Jinja.)
- A copy is the object itself, by `copy` or by `pickle`.
"""

from typing import Final

from ..authenticator import Visit
from ..engine.context import current_visit
from ..errors import NotAuthorizedException
from ..models import AuthUser
from ..verbs.request_user import RequestUser, missing
from ..verbs.user import get_current_user


class CurrentUser(RequestUser):
    """The `RequestUser` of any request being handled."""

    __slots__ = ()

    @property
    def _visit(self) -> Visit:  # type: ignore[override]  # a slot of its own there
        return current_visit()

    @property
    def user(self) -> AuthUser:
        """The `AuthUser`; see `get_current_user`, which this is."""
        try:
            return get_current_user()
        except NotAuthorizedException as nobody:
            raise missing(nobody) from None

    def __reduce__(self) -> str:
        return "current_user"

    def __repr__(self) -> str:
        return "<current_user>"


current_user: Final[RequestUser] = CurrentUser()
"""The user of the request being handled: see `RequestUser`."""
