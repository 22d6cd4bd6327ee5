"""Flask-Login: a user's ID in Flask's session, and users in a dictionary."""

from collections.abc import Iterator

from flask import session
from flask_login import LoginManager, UserMixin, current_user, login_user

from ..requests import environ
from . import Peer, frameworks
from .flask_session import signed
from .users import Users, cookies, spoilt


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def ask() -> str | None:
    return current_user.id if current_user.is_authenticated else None


def peers(users: Users) -> Iterator[Peer]:
    by_name = {name: User(name) for name in users.names}
    app = frameworks.flask(users, ask)
    app.secret_key = users.secret
    LoginManager(app).user_loader(by_name.get)
    with app.request_context(environ(None)):  # the session is bound to address and browser
        login_user(by_name[users.names[0]])
        cookie = signed(app, dict(session))

    def read(sent: dict) -> str | None:
        """It has no user outside a request's context."""
        with app.request_context(sent):
            return ask()

    headers, bad = cookies(session=cookie), cookies(session=spoilt(cookie))
    yield Peer(
        "Flask-Login",
        "Flask",
        app,
        [headers],
        read,
        [environ(headers["cookie"])],
        (bad, environ(bad["cookie"])),
    )
