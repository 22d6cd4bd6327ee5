"""Flask's own session: a cookie that an HMAC signs."""

from collections.abc import Iterator

from flask import session

from ..requests import environ
from . import Peer, frameworks
from .users import Users, cookies, spoilt


def peers(users: Users) -> Iterator[Peer]:
    def ask() -> str | None:
        user = session.get("user")
        return None if user is None else user["sub"]

    app = frameworks.flask(users, ask)
    app.secret_key = users.secret
    cookie = signed(app, {"user": users.profile})
    open_session, request_of = app.session_interface.open_session, app.request_class

    def read(sent: dict) -> str | None:
        user = open_session(app, request_of(sent)).get("user")
        return None if user is None else user["sub"]

    headers, bad = cookies(session=cookie), cookies(session=spoilt(cookie))
    yield Peer(
        "Flask's session",
        "Flask",
        app,
        [headers],
        read,
        [environ(headers["cookie"])],
        (bad, environ(bad["cookie"])),
    )


def signed(app, values: dict) -> str:
    """The session's cookie with these values."""
    return app.session_interface.get_signing_serializer(app).dumps(values)
