"""flask-cognito-lib: an access token in a cookie of its own, the user's claims in Flask's session.

It makes a token service for each request, which would fetch the keys each time; it may be given a
factory, and is given one that keeps the service, with its keys fetched.
"""

from collections.abc import Iterator

from flask import Flask, session
from flask_cognito_lib import CognitoAuth
from flask_cognito_lib.config import Config
from flask_cognito_lib.decorators import auth_required
from flask_cognito_lib.exceptions import AuthorisationRequiredError, TokenVerifyError
from flask_cognito_lib.services.token_svc import TokenService

from ..tokens import CLIENT_ID, POOL_ID, forged
from . import FIRST, KNOWN, Peer, frameworks
from .flask_session import signed
from .users import Users, claims_of, cookies


def peers(users: Users) -> Iterator[Peer]:
    @auth_required()
    def ask() -> str:
        return session["claims"]["username"]

    app = frameworks.flask(users, ask)
    service = _configured(app, users)
    tokens = [tokens["access_token"] for tokens in users.sets]
    bad = forged(tokens[0])

    def read(token: str) -> str | None:
        with app.app_context():  # its settings are the current app's
            try:
                return service.verify_access_token(token)["username"]
            except TokenVerifyError:
                return None

    yield Peer(
        "flask-cognito-lib",
        "Flask",
        app,
        [_headers(app, token, token) for token in tokens],
        read,
        tokens,
        (_headers(app, bad, tokens[0]), bad),
        (KNOWN, FIRST),
    )


def _configured(app: Flask, users: Users) -> TokenService:
    app.secret_key = users.secret
    app.config.update(
        AWS_REGION=POOL_ID.partition("_")[0],
        AWS_COGNITO_USER_POOL_ID=POOL_ID,
        AWS_COGNITO_USER_POOL_CLIENT_ID=CLIENT_ID,
    )
    app.register_error_handler(AuthorisationRequiredError, lambda _: ("no", 401))
    with app.app_context():
        service = TokenService(Config())
    # Its client keeps the keys it has seen for good (`cache_keys=True`).
    service.jwk.fetch_data = lambda: users.mint.key_set
    CognitoAuth(app, _token_service_factory=lambda cfg: service)
    return service


def _headers(app: Flask, token: str, claimed: str) -> dict[str, str]:
    """What its sign-in leaves in the browser."""
    session_cookie = signed(app, {"claims": claims_of(claimed)})
    return cookies(session=session_cookie, cognito_access_token=token)
