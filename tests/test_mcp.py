"""An MCP server behind the middleware, and the SDK's own client: it finds out where to sign in.

The server is a real one; the user pool's pages are walked through without a browser.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

pytest.importorskip("mcp")  # a large package, of the group of the tests

import uvicorn
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from amplify_mw import (
    AmplifyConfig,
    ConfigurationError,
    Machine,
    get_current_principal,
    get_current_user,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.errors import NetworkError
from amplify_mw.integrations.mcp import AmplifyTokenVerifier, settings_for
from amplify_mw.testing import Down, LocalUserPool
from tests.patience import PATIENCE

CALLBACK = "http://127.0.0.1:9/callback"
MODES = ["auto", "legacy"]  # without sessions, and with the older protocol's
ACCEPT = "application/json, text/event-stream"


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool(adds_iss=True, scopes=["orders/read"]) as pool:
        pool.add_user("ada", email="ada@example.com")
        pool.add_user("bob")
        yield pool


class Site:
    """An MCP server at `url`. `seen`: the paths of its requests, with their status."""

    def __init__(self, pool: LocalUserPool, port: int, options: dict[str, Any]) -> None:
        self.pool = pool
        self.url = f"http://localhost:{port}/mcp"  # Cognito takes no 127.0.0.1 as a resource
        self.seen: list[tuple[str, int]] = []
        given = {
            "bearer": True,
            "audience": self.url,
            "resource_metadata": {"scopes_supported": ["openid"]},
            "protect": ["/mcp"],
            **options,
        }
        verified = given.pop("verified", True)
        app_options = given.pop("app_options", {})
        self.config: AmplifyConfig = pool.config(**given)
        auth: Any = {}
        if verified:
            auth = {
                "token_verifier": AmplifyTokenVerifier(self.config),
                "auth": settings_for(self.config),
            }
        server = MCPServer("orders", **auth)
        server.tool()(whoami)
        server.tool()(whoami_later)
        server.tool()(editors_only)
        app = AmplifyASGIMiddleware(server.streamable_http_app(**app_options), self.config)
        self.app = self._watched(app)

    def token(self, name: str) -> str:
        """An access token for this server."""
        return self.pool.mint(name, "access", claims={"aud": self.url})

    def _watched(self, app: Any) -> Any:
        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def watched_send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.seen.append((scope["path"], message["status"]))
                await send(message)

            await app(scope, receive, watched_send)

        return watched


def whoami() -> str:
    """Says who calls it, as this library and the SDK know the caller."""
    principal = get_current_principal()
    known = get_access_token()
    name = principal.client_id if isinstance(principal, Machine) else principal.username
    sub = principal.client_id if isinstance(principal, Machine) else principal.user_id
    assert known is None or known.subject == sub
    return name


async def whoami_later() -> str:
    """The same, from a coroutine and a task of its own."""
    await asyncio.sleep(0)
    return await asyncio.create_task(asyncio.to_thread(lambda: get_current_user().username))


@require_auth(groups=["editors"])
def editors_only() -> str:
    """For editors."""
    return "edited"


@contextmanager
def served(pool: LocalUserPool, **options: Any) -> Iterator[Site]:
    """The site on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = Site(pool, listener.getsockname()[1], options)
        started = Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                started.set()

        server = Server(uvicorn.Config(site.app, log_config=None, timeout_graceful_shutdown=1))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert started.wait(PATIENCE)
            yield site
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def site(pool: LocalUserPool) -> Iterator[Site]:
    with served(pool) as site:
        yield site


class Storage:
    """What the client knows: its own id at the pool, and later its tokens."""

    def __init__(self, pool: LocalUserPool) -> None:
        self.tokens: OAuthToken | None = None
        self.info: OAuthClientInformationFull | None = OAuthClientInformationFull(
            client_id=pool.client_id,
            redirect_uris=[AnyUrl(CALLBACK)],
            token_endpoint_auth_method="none",
        )

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.info = client_info


class Person:
    """A user with the SDK's client, who signs in when the client opens a page for that."""

    def __init__(self, site: Site, name: str) -> None:
        self.pages: list[str] = []
        self.storage = Storage(site.pool)
        self._site = site
        self._name = name
        self._back = ""
        self.auth = OAuthClientProvider(
            site.url,
            OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="agent"),
            self.storage,
            self._open,
            self._come_back,
        )

    async def _open(self, page: str) -> None:
        self.pages.append(page)
        self._back = await asyncio.to_thread(self._site.pool.authorize, page, self._name)

    async def _come_back(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(self._back).query)
        return AuthorizationCodeResult(
            code=query["code"][0], state=query["state"][0], iss=query["iss"][0]
        )


async def called(site: Site, auth: Any, tool: str, mode: str, times: int = 1) -> str:
    """The text that a tool answers to the SDK's client."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE, trust_env=False) as http,
        Client(streamable_http_client(site.url, http_client=http), mode=mode) as client,
    ):
        for _ in range(times):
            result = await client.call_tool(tool, {})
        text: str = result.content[0].text  # type: ignore[union-attr]
        return text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tool", ["whoami", "whoami_later"])
def test_the_client_finds_out_signs_in_and_calls_a_tool(site: Site, mode: str, tool: str) -> None:
    ada = Person(site, "ada")
    site.seen.clear()
    assert asyncio.run(called(site, ada.auth, tool, mode)) == "ada"
    assert site.seen[:2] == [
        ("/mcp", 401),
        ("/.well-known/oauth-protected-resource/mcp", 200),
    ]
    [page] = ada.pages
    asked = parse_qs(urlsplit(page).query)
    assert page.startswith(f"{site.pool.url}/oauth2/authorize?")
    assert (asked["resource"], asked["scope"]) == ([site.url], ["openid"])
    assert asked["code_challenge_method"] == ["S256"]


@pytest.mark.parametrize("mode", MODES)
def test_an_expired_token_is_refreshed_and_nobody_signs_in_again(site: Site, mode: str) -> None:
    ada = Person(site, "ada")

    async def twice() -> list[str]:
        first = await called(site, ada.auth, "whoami", mode)
        ada.auth.context.token_expiry_time = 1.0
        return [first, await called(site, ada.auth, "whoami", mode)]

    assert asyncio.run(twice()) == ["ada", "ada"]
    assert len(ada.pages) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "options", [{}, {"stateless_http": True}, {"json_response": True}], ids=str
)
def test_two_users_of_one_server_are_told_apart(
    pool: LocalUserPool, mode: str, options: Any
) -> None:
    with served(pool, app_options=options) as site:

        async def both() -> list[str]:
            people = [Person(site, name).auth for name in ("ada", "bob") * 3]
            calls = (called(site, auth, "whoami_later", mode, times=5) for auth in people)
            return await asyncio.gather(*calls)

        assert asyncio.run(both()) == ["ada", "bob"] * 3


def test_another_name_in_host_is_refused_by_default_and_no_part_of_the_metadata(
    site: Site,
) -> None:
    headers = {"Host": "evil.example", "Authorization": "Bearer " + site.token("ada")}
    home = site.url.removesuffix("/mcp")
    with httpx2.Client(timeout=PATIENCE, trust_env=False, headers=headers) as client:
        assert client.post(site.url, json={}).status_code == 421
        found = client.get(f"{home}/.well-known/oauth-protected-resource/mcp")
        assert found.json()["resource"] == site.url


def test_a_guard_at_a_tool_is_a_tools_error(site: Site) -> None:
    said = asyncio.run(called(site, Person(site, "ada").auth, "editors_only", "auto"))
    assert "edited" not in said


def test_a_machine_signs_in_by_its_own_credentials(pool: LocalUserPool) -> None:
    secret = pool.add_machine("nightly", scopes=["orders/read"])
    options = {
        "protect": [],
        "client_id": [pool.client_id, "nightly"],
        "resource_metadata": {"scopes_supported": ["orders/read"]},  # `openid` is no machine's
    }
    with served(pool, **options) as site:
        auth = ClientCredentialsOAuthProvider(
            site.url, Storage(pool), "nightly", secret, issuer=pool.issuer
        )
        assert asyncio.run(called(site, auth, "whoami", "auto")) == "nightly"
        ada = Person(site, "ada")
        assert asyncio.run(called(site, ada.auth, "whoami", "auto")) == "ada"
        assert parse_qs(urlsplit(ada.pages[0]).query)["scope"] == ["orders/read"]


class Raw:
    """Requests of the older protocol by hand, each with a token of one's choice."""

    def __init__(self, site: Site) -> None:
        self._url = site.url
        self._client = httpx2.Client(timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, token: str | None, session: str | None = None, **message: Any) -> Any:
        headers = {"Accept": ACCEPT}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Mcp-Session-Id": session} if session else {}
        body = {"jsonrpc": "2.0", "id": 1, **message}
        return self._client.post(self._url, json=body, headers=headers)

    def opened(self, token: str | None) -> str:
        """The id of a new session."""
        params = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "by hand", "version": "1"},
        }
        got = self.post(token, method="initialize", params=params)
        assert got.status_code == 200
        session: str = got.headers["mcp-session-id"]
        headers = {"Accept": ACCEPT, "Mcp-Session-Id": session}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert self._client.post(self._url, json=note, headers=headers).status_code == 202
        return session

    def call(self, token: str | None, session: str, tool: str = "whoami") -> tuple[int, str]:
        got = self.post(token, session, method="tools/call", params={"name": tool, "arguments": {}})
        if got.status_code != 200:
            return got.status_code, ""
        [line] = [line for line in got.text.splitlines() if line.startswith("data: {")]
        return 200, json.loads(line.removeprefix("data: "))["result"]["content"][0]["text"]


class TestAnothersSession:
    def test_it_is_not_there_for_anybody_else(self, site: Site) -> None:
        with Raw(site) as raw:
            session = raw.opened(site.token("ada"))
            assert raw.call(site.token("bob"), session) == (404, "")
            assert raw.call(None, session) == (401, "")
            assert raw.call(site.token("ada"), session) == (200, "ada")

    def test_without_the_verifier_a_tool_still_sees_its_own_caller(
        self, pool: LocalUserPool
    ) -> None:
        with served(pool, verified=False, protect=[]) as site, Raw(site) as raw:
            session = raw.opened(site.token("ada"))
            assert raw.call(site.token("bob"), session) == (200, "bob")
            assert raw.call(site.token("ada"), session) == (200, "ada")
            status, said = raw.call(None, session)
            assert (status, "ada" in said, "Error" in said) == (200, False, True)


class TestVerifier:
    def verified(self, pool: LocalUserPool, token: str, **options: Any) -> Any:
        given = {"bearer": True, "keys": pool.jwks(), **options}
        verifier = AmplifyTokenVerifier(pool.config(**given))
        return asyncio.run(verifier.verify_token(token))

    def test_it_tells_of_a_user(self, pool: LocalUserPool) -> None:
        names = ["https://b.example", "https://a.example"]
        token = pool.mint("ada", "access", claims={"aud": names})
        told = self.verified(pool, token, audience=["https://a.example"])
        assert told.client_id == pool.client_id
        assert told.subject == told.claims["sub"]
        assert told.claims["iss"] == pool.issuer
        assert told.resource == "https://a.example"
        assert told.expires_at == told.claims["exp"] + 5  # the leeway
        assert "aws.cognito.signin.user.admin" in told.scopes

    @pytest.mark.parametrize("token", ["", "a.b.c", "a b", "é.é.é", "x" * 9000, "a\nb", "\udc80"])
    def test_it_refuses_what_is_no_token(self, pool: LocalUserPool, token: str) -> None:
        assert self.verified(pool, token) is None

    def test_it_refuses_tokens_for_others(self, pool: LocalUserPool) -> None:
        token = pool.mint("ada", "access", claims={"aud": "https://b.example"})
        assert self.verified(pool, token, audience="https://a.example") is None
        assert self.verified(pool, pool.mint("ada")) is None  # an ID token
        assert self.verified(pool, pool.mint("ada", "access", expires_in=-60)) is None

    def test_a_name_that_is_no_text_is_no_resource(self, pool: LocalUserPool) -> None:
        for names in (7, [{}, "https://b.example"], None):
            token = pool.mint("ada", "access", claims={"aud": names})
            assert self.verified(pool, token).resource is None

    def test_without_keys_it_raises_and_refuses_nobody(self, pool: LocalUserPool) -> None:
        token = pool.mint("ada", "access")
        with pool.fault("jwks", Down()), pytest.raises(NetworkError):
            self.verified(pool, token, keys=None, leeway=4.0)

    def test_without_keys_a_client_gets_503_and_is_not_signed_out(
        self, pool: LocalUserPool
    ) -> None:
        with served(pool, leeway=3.0) as site, pool.fault("jwks", Down()), Raw(site) as raw:
            got = raw.post(site.token("ada"), method="ping")
            assert (got.status_code, "www-authenticate" in got.headers) == (503, False)

    def test_nor_without_protect_but_the_sdk_says_500(self, pool: LocalUserPool) -> None:
        options = {"leeway": 2.0, "protect": []}
        with served(pool, **options) as site, pool.fault("jwks", Down()), Raw(site) as raw:
            got = raw.post(site.token("ada"), method="ping")
            assert (got.status_code, "www-authenticate" in got.headers) == (500, False)

    def test_it_says_what_to_write(self, pool: LocalUserPool) -> None:
        with pytest.raises(ConfigurationError, match="write bearer=True"):
            AmplifyTokenVerifier(pool.config())
        with pytest.raises(ConfigurationError, match="the address of the MCP server"):
            settings_for(pool.config(bearer=True))
