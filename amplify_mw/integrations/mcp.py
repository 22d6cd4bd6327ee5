"""Servers of the Model Context Protocol, with its Python SDK: `AmplifyTokenVerifier(config)`.

    verifier = AmplifyTokenVerifier(config)
    server = MCPServer("Orders", token_verifier=verifier, auth=settings_for(config))
    app = AmplifyASGIMiddleware(server.streamable_http_app(), config)

The middleware lets in, answers with a challenge and serves the metadata; tools ask
`get_current_user()`. The verifier tells the SDK the same user: it then lets nobody but the opener
of a session go on with that, and knows `get_access_token()`.

Rules:
- A token counts here if it counts as a Bearer token of the middleware. The verdict is the cached
  one: behind the middleware nothing is verified twice.
- A token that cannot be checked now is an error, and no refusal: the SDK's own answer to that is
  500. (A path in `protect` gets the middleware's 503.)
"""

from typing import TYPE_CHECKING

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl

from ..cognito.jwt import parse_segment
from ..config.config import AmplifyConfig
from ..credentials import Credential
from ..engine.engine import Engine
from ..errors import ConfigurationError
from ..sessions.verdicts import KnownMachine, Refused, SignedIn

if TYPE_CHECKING:
    from collections.abc import Sequence


class AmplifyTokenVerifier(TokenVerifier):
    """Verifies access tokens of the configured pools for the SDK. `config`: with `bearer=True`."""

    def __init__(self, config: AmplifyConfig) -> None:
        _check(config)
        self._engine = Engine.of(config)
        self._audience = config.audience

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token's client, scopes and subject; None for a token that is refused.

        `subject` is the user's `sub`, or a machine's client id. `resource` is this API's name in
        `aud`. Raises `NetworkError` if it cannot be checked now.
        """
        verdict = await self._verdict(token)
        if not isinstance(verdict, Refused):
            return self._told(token, verdict)
        if verdict.exception().status_code == 503:
            raise verdict.exception()
        return None

    async def _verdict(self, token: str) -> SignedIn | KnownMachine | Refused:
        engine = self._engine
        home, now = engine.authenticator, engine.clock()
        source = home.bearer
        assert source is not None  # noqa: S101  # it was checked
        value = source.read(b"Bearer " + token.encode("latin-1", "replace"))
        known = home.known(value)
        if known is not None and now < known.fresh_until:
            return known
        visit = await engine.driver.arun(home.authenticate(Credential(source, value), now))
        return visit.verdict

    def _told(self, token: str, verdict: SignedIn | KnownMachine) -> AccessToken:
        claims = parse_segment(token.encode().split(b".")[1])
        audience = claims.get("aud")
        named = [audience] if isinstance(audience, str) else audience or []
        principal = verdict.machine if isinstance(verdict, KnownMachine) else verdict
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=sorted(principal.scopes),
            expires_at=int(verdict.expires_at),
            resource=next((name for name in self._audience if name in named), None),
            subject=claims["sub"],
            claims=claims,
        )


def settings_for(config: AmplifyConfig, scopes: "Sequence[str] | None" = None) -> AuthSettings:
    """The SDK's settings for a server of this configuration.

    `scopes`: a token needs all of them, for anything. Default: None, any will do; guard single
    tools by `require_auth(scopes=[...])`. The first `audience` is the server's address.
    """
    _check(config)
    if not config.audience:
        raise ConfigurationError(
            "audience: write the address of the MCP server, such as "
            "audience='https://orders.example.com/mcp'"
        )
    return AuthSettings(
        issuer_url=AnyHttpUrl(config.user_pools[0].iss),
        resource_server_url=AnyHttpUrl(config.audience[0]),
        required_scopes=None if scopes is None else list(scopes),
        validate_token_resource=False,  # the verifier has compared `aud` to the `audience`
    )


def _check(config: AmplifyConfig) -> None:
    if not config.bearer:
        raise ConfigurationError(
            "bearer: programs of the Model Context Protocol send Bearer tokens; write bearer=True"
        )
