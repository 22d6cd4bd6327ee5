"""`/.well-known/oauth-protected-resource` (RFC 9728), behind both shells."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, AuthRoutes, ConfigurationError, SealedSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import Down, LocalUserPool
from tests.shells import Ask, Got, Shell

RESOURCE = "https://orders.example.com/mcp"
PATH = "/.well-known/oauth-protected-resource/mcp"
URL = f"https://orders.example.com{PATH}"
HOSTILE = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
Send = Callable[..., Got]


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def send(shell: Shell, pool: LocalUserPool) -> Send:
    """Ask an app behind the middleware. The app answers "the app's" to everything."""

    def send(path: str = PATH, *, options: Any = None, **facts: Any) -> Got:
        given = {"bearer": True, "audience": RESOURCE, "resource_metadata": {}, **(options or {})}
        app: Any = shell.middleware(shell.app(lambda: "the app's"), pool.config(**given))
        return shell.send(app, Ask(path=path, **facts))

    return send


class TestDocument:
    def test_it_names_the_resource_and_the_pool(self, send: Send, pool: LocalUserPool) -> None:
        got = send()
        assert (got.status, got.one("content-type")) == (200, "application/json")
        assert json.loads(got.body) == {
            "resource": RESOURCE,
            "authorization_servers": [pool.issuer],
            "bearer_methods_supported": ["header"],
        }

    def test_it_has_the_members_of_the_configuration(self, send: Send) -> None:
        members = {"scopes_supported": ["openid", "orders/read"], "resource_name#fr": "Commandes"}
        body = json.loads(send(options={"resource_metadata": members}).body)
        assert members.items() <= body.items()

    @pytest.mark.parametrize("resource", ["https://a.example", "https://a.example/"])
    def test_without_a_path_it_is_at_the_root(self, send: Send, resource: str) -> None:
        path = "/.well-known/oauth-protected-resource"
        got = send(path, options={"audience": [resource, "other"]})
        assert json.loads(got.body)["resource"] == resource
        assert send(options={"audience": resource}).body == "the app's"

    def test_no_header_of_the_request_changes_it(self, send: Send) -> None:
        assert send(headers=HOSTILE).body == send().body

    @pytest.mark.parametrize(
        "path",
        [
            PATH + "/",
            "/" + PATH,
            "/x" + PATH,
            PATH.upper(),
            PATH + "\0",
            PATH.removesuffix("/mcp"),
            "/.well-known/./oauth-protected-resource/mcp",
            "/.well-known%2Foauth-protected-resource/mcp",
        ],
    )
    def test_any_other_path_is_the_apps(self, send: Send, path: str) -> None:
        assert send(path).body == "the app's"

    def test_without_the_option_it_is_the_apps(self, send: Send) -> None:
        assert send(options={"resource_metadata": None}).body == "the app's"

    def test_guards_do_not_stand_before_it(self, send: Send) -> None:
        assert send(options={"protect": ["/*"]}).status == 200

    def test_an_app_below_a_mount_serves_it_too(self, send: Send) -> None:
        options = {"mount": "/prod", "audience": "https://a.example/prod/mcp"}
        path = "/.well-known/oauth-protected-resource/prod/mcp"
        assert send(path, options=options).status == 200  # passed on as it is
        below = "/.well-known/oauth-protected-resource/mcp"
        assert send(below, options=options, mount="/prod").body == "the app's"


class TestWays:
    def test_head_has_the_headers_alone(self, send: Send) -> None:
        got, whole = send(method="HEAD"), send()
        assert (got.status, got.body, got.headers) == (200, "", whole.headers)

    def test_pages_of_any_origin_read_it(self, send: Send) -> None:
        other = {"Origin": "https://agent.example", "Sec-Fetch-Site": "cross-site"}
        got = send(headers=other)
        assert got.one("access-control-allow-origin") == "*"
        assert got.one("access-control-allow-credentials") is None

    def test_a_preflight_allows_the_headers_of_clients(self, send: Send) -> None:
        asked = {
            "Origin": "https://agent.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "mcp-protocol-version",
        }
        got = send(method="OPTIONS", headers=asked, options={"protect": ["/*"]})
        assert (got.status, got.body) == (204, "")
        assert got.one("access-control-allow-origin") == "*"
        assert got.one("access-control-allow-headers") == "*"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PROPFIND"])
    def test_other_methods_do_not_reach_the_app(self, send: Send, method: str) -> None:
        got = send(method=method)
        assert (got.status, got.one("allow")) == (405, "GET, HEAD, OPTIONS")

    @pytest.mark.parametrize("cookie", ["rubbish", "e30.e30.e30"])
    def test_no_credential_is_read_and_no_cookie_set(
        self, send: Send, pool: LocalUserPool, cookie: str
    ) -> None:
        good = pool.mint("ada", "access")
        before = len(pool.requests)
        with pool.fault("*", Down()):
            for header in ("Bearer " + good, "Bearer a b", "Basic YTpi"):
                got = send(cookie=cookie, headers={"Authorization": header})
                assert (got.status, got.all("set-cookie")) == (200, [])
                assert got.one("cache-control") == "public, max-age=3600"
                assert got.one("vary") is None
        assert len(pool.requests) == before

    def test_a_middleware_inside_answers_it_too(self, shell: Shell, pool: LocalUserPool) -> None:
        config = pool.config(bearer=True, audience=RESOURCE)
        inner = shell.middleware(shell.app(lambda: "the app's"), config, resource_metadata={})
        outer: Any = shell.middleware(inner, config)
        assert shell.send(outer, Ask(path=PATH)).status == 200


def test_a_socket_to_that_path_is_the_apps(pool: LocalUserPool) -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    config = pool.config(bearer=True, audience=RESOURCE, resource_metadata={})
    scope = {"type": "websocket", "path": PATH, "headers": [], "query_string": b""}
    asyncio.run(AmplifyASGIMiddleware(app, config)(scope, None, None))  # type: ignore[arg-type]
    assert reached == ["websocket"]


class TestChallenge:
    def test_a_401_names_it(self, send: Send) -> None:
        said = f'Bearer realm="api", resource_metadata="{URL}"'
        got = send("/mcp", options={"protect": ["/mcp"]}, headers=HOSTILE)
        assert (got.status, got.all("www-authenticate")[0]) == (401, said)

    def test_so_do_the_answers_to_a_bad_token(self, send: Send, pool: LocalUserPool) -> None:
        options = {"protect": ["/mcp"]}
        for token, status, code in (
            ("a.b.c", 401, "invalid_token"),
            ("a b", 400, "invalid_request"),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            got = send("/mcp", options=options, headers=headers)
            said = f'Bearer realm="api", error="{code}", resource_metadata="{URL}"'
            assert (got.status, got.one("www-authenticate")) == (status, said)

    def test_a_503_names_nothing(self, send: Send, pool: LocalUserPool) -> None:
        headers = {
            "Authorization": "Bearer " + pool.mint("ada", "access", claims={"aud": RESOURCE})
        }
        with pool.fault("jwks", Down()):
            got = send("/mcp", options={"protect": ["/mcp"]}, headers=headers)
        assert (got.status, got.one("www-authenticate")) == (503, None)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"bearer": False}, "write bearer=True"),
            ({"audience": ()}, "first name in audience"),
            ({"audience": "orders"}, "first name in audience"),
            ({"audience": "http://orders.example.com"}, "first name in audience"),
            ({"audience": "https://a.example/?a=1"}, "first name in audience"),
            ({"audience": "https://a.example/a%2Fb"}, "first name in audience"),
            ({"audience": 'https://a.example/"'}, "first name in audience"),
            ({"audience": "https://u:p@a.example"}, "first name in audience"),
            ({"audience": "https://a.example:x"}, "first name in audience"),
            ({"audience": "https://"}, "first name in audience"),
            ({"resource_metadata": True}, "write a mapping"),
            ({"resource_metadata": {"resource": "https://b.example"}}, "not yours to write"),
            ({"resource_metadata": {"jwks_uri": "https://b.example"}}, "not yours to write"),
            ({"resource_metadata": {1: "https://b.example"}}, "not yours to write"),
            ({"resource_metadata": {"scopes_supported": "openid"}}, "a list of scopes"),
            ({"resource_metadata": {"scopes_supported": ["a b"]}}, "a list of scopes"),
            ({"resource_metadata": {"resource_name": ""}}, "a text"),
            ({"resource_metadata": {"resource_tos_uri": "javascript:1"}}, "https:// address"),
            ({"ignore": ["/.well-known/*"]}, "ignore: it covers"),
        ],
    )
    def test_it_says_what_to_write(
        self, shell: Shell, pool: LocalUserPool, options: Any, said: str
    ) -> None:
        given = {"bearer": True, "audience": RESOURCE, "resource_metadata": {}, **options}
        with pytest.raises(ConfigurationError, match=said):
            shell.middleware(
                shell.app(lambda: ""),
                AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", **given),
            )

    def test_a_configuration_with_it_is_a_value(self) -> None:
        given: dict[str, Any] = {"bearer": True, "audience": "http://localhost:8000/mcp"}
        members = {"scopes_supported": ["openid"]}
        one = AmplifyConfig(
            user_pool_id="eu-west-1_Ab12Cd34E",
            client_id="web",
            resource_metadata=members,
            session=SealedSession(keys=["A" * 43]),
            domain="auth.example.com",
            routes=AuthRoutes(origin="http://localhost:8000", resource="http://localhost:8000/mcp"),
            **given,
        )
        assert hash(one) == hash(one.replace(leeway=5.0))
        members["scopes_supported"].append("email")
        assert one.resource_metadata == {"scopes_supported": ["openid"]}
        assert one.metadata_url == (
            "http://localhost:8000/.well-known/oauth-protected-resource/mcp"
        )
