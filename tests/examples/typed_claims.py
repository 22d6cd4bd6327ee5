"""Claims of the tokens, as type checkers see them: no check for None in a view for users.

Amplify's server API: `fetchAuthSession`, whose `tokens?.idToken?.payload` may be undefined.
"""

from typing import Any, assert_type

from fastapi import FastAPI

from amplify_mw import (
    AmplifyConfig,
    AuthSession,
    AuthUser,
    Jwt,
    SignedInSession,
    aio,
    fetch_auth_session,
    user_or_none,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.starlette import handle_auth_errors


def email() -> str:
    session = fetch_auth_session(required=True)
    assert_type(session, SignedInSession)
    assert_type(session.user_sub, str)
    return str(session.tokens.id_token.payload["email"])


def bearer() -> dict[str, str]:
    """The header for an API behind this site."""
    token = fetch_auth_session(required=True, force_refresh=True).tokens.access_token
    return {"Authorization": f"Bearer {token.encoded}"}


def id_token_or_none() -> Jwt | None:
    session = fetch_auth_session()
    assert_type(session, AuthSession)
    return session.tokens.id_token if session.tokens else None


def greeting() -> str:
    user = user_or_none()
    assert_type(user, AuthUser | None)
    return f"Hello, {user.username} of {', '.join(user.groups)}" if user else "Hello"


def create_app(config: AmplifyConfig) -> FastAPI:
    app = FastAPI()
    app.add_middleware(AmplifyASGIMiddleware, config=config)
    handle_auth_errors(app)

    @app.get("/api/claims")
    async def claims() -> dict[str, Any]:
        session = await aio.fetch_auth_session(required=True)
        assert_type(session, SignedInSession)
        return {"email": session.tokens.id_token.payload["email"]}

    return app
