"""Channels: consumers see the user as `scope["user"]`.

    application = AmplifyASGIMiddleware(
        ProtocolTypeRouter({
            "http": get_asgi_application(),
            "websocket": UserMiddleware(URLRouter(websocket_urlpatterns)),
        }),
        config,
    )

Rules:
- It stands in place of Channels' `AuthMiddlewareStack`, which sets the user of Django's session.
- With `SessionMiddlewareStack(UserMiddleware(...))` around, that one counts too, if nobody is
  signed in by a cookie of ours.
- The user goes by the socket: once its token has run out, `scope["user"]` is anonymous.
- If the user cannot be told now, reading it raises `NetworkError`.
"""

from contextlib import suppress
from functools import partial
from typing import Any

from channels.auth import get_user
from channels.middleware import BaseMiddleware

from ...engine.context import bound
from ...errors import AuthError
from .present import Found, UserNow


class UserMiddleware(BaseMiddleware):
    """Puts Django's user into the scope of a socket."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Serve one socket."""
        scope = dict(scope)
        awaited = partial(get_user, scope) if "session" in scope else None
        found = Found(bound(), before_awaited=awaited)
        with suppress(AuthError):  # each reading says so
            await found.auser()  # here it may wait; a consumer reads it without
        scope["user"] = UserNow(found)
        return await super().__call__(scope, receive, send)
