"""`examine` and `amplify-mw doctor`: each line of the pool's side, its fault, and the mend."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amplify_mw
import amplify_mw.diagnostics.examination.examination as examination
from amplify_mw import AmplifyConfig, AuthRoutes, ConfigurationError, CookiePolicy, SealedSession
from amplify_mw.__main__ import main
from amplify_mw.config.files import VARIABLES
from amplify_mw.diagnostics import Examination, examine
from amplify_mw.diagnostics.examination.pool import REMOTE_PROBES
from amplify_mw.diagnostics.examination.subject import MAX_BYTES, Network, Subject
from amplify_mw.diagnostics.report import as_dicts, as_text
from amplify_mw.effects import Request, Response
from amplify_mw.models.check import Check, Outcome
from amplify_mw.testing import (
    AuthorizeError,
    Body,
    CognitoError,
    Down,
    Drip,
    LocalUserPool,
    Redirect,
    Status,
    Throttling,
)
from amplify_mw.testing.pool.signing import new_signing_key
from tests.certificates import Authority, listening, read_head, say_hi
from tests.diagnostics.keys import KEYS
from tests.docs.pages import PAGES
from tests.proxies import fronted, proxying

SECRET = "a-secret-of-24-characters"
SITE = "http://localhost:8000"
ROUTES = AuthRoutes(origin=SITE, keys=KEYS)
ANY_CLIENT = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id=None)
HTML = Body(b"<!doctype html><p>Please sign in to the Wi-Fi", "text/html")


def pool_of(**options: Any) -> LocalUserPool:
    return LocalUserPool(
        client_secret=SECRET,
        issuer_type="ORIGINAL",
        redirect_uris=[ROUTES.callback_url],
        logout_uris=[ROUTES.sign_out_callback_url],
        **options,
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with pool_of() as pool:
        yield pool


def config_of(pool: LocalUserPool, **options: Any) -> AmplifyConfig:
    fitting = {"session": SealedSession(keys=KEYS), "cookie": CookiePolicy.for_origin(SITE)}
    return pool.config(**{**fitting, "routes": ROUTES, **options})


@pytest.fixture
def config(pool: LocalUserPool) -> AmplifyConfig:
    return config_of(pool)


def lines(config: AmplifyConfig, name: str, **options: Any) -> list[Check]:
    """The lines of a name. No line shows a secret."""
    found = examine(config, **options)
    assert SECRET not in f"{found}{found!r}"
    assert "this check failed" not in str(found)
    return [check for check in found.checks if check.name == name]


def the_line(config: AmplifyConfig, name: str, **options: Any) -> Check:
    [line] = lines(config, name, **options)
    return line


def test_a_pool_and_a_configuration_that_fit_are_fine(
    pool: LocalUserPool, config: AmplifyConfig
) -> None:
    pool.requests.clear()
    found = examine(config)
    assert {check.outcome for check in found.checks} == {"ok"}, str(found)
    assert found.exit_status == 0
    asked = ["GetUser", "openid-configuration", "jwks", "GetTokensFromRefreshToken"]
    assert pool.requests == [*asked, "authorize", "logout", "token"]


# Options that are wrong, the line and some of its words, and the options that mend it.
WRONG_OPTIONS: dict[str, tuple[dict[str, Any], str, str, dict[str, Any]]] = {
    "another client": ({"client_id": "other"}, "app_client", "correct client_id", {}),
    "no secret": ({"client_secret": None}, "client_secret", "none is configured", {}),
    "another secret": ({"client_secret": "x" * 24}, "client_secret", "it is refused", {}),
    "a secret at sign-in": ({"client_secret": None}, "token_endpoint", "invalid_client", {}),
    "a secret with OAuth": (
        {"client_secret": None, "refresh_api": "oauth"},
        "refresh_api",
        "check client_id and client_secret",
        {"refresh_api": "oauth"},
    ),
    "another callback": (
        {"mount": "/shop"},
        "callback_url",
        "add http://localhost:8000/shop/auth/sign-in-callback to the app client's",
        {"mount": ()},
    ),
    "another sign-out": (
        {"mount": "/shop"},
        "sign_out_url",
        "add http://localhost:8000/shop/auth/sign-out-callback to the app client's",
        {"mount": ()},
    ),
    "an unknown client at sign-in": ({"client_id": "other"}, "sign_in", "invalid_request", {}),
    "an unknown client at sign-out": (
        {"client_id": "other"},
        "sign_out_url",
        "correct client_id",
        {},
    ),
    "another scope": (
        {"routes": AuthRoutes(origin=SITE, keys=KEYS, scopes=["openid", "orders/read"])},
        "scopes",
        "openid orders/read",
        {"routes": ROUTES},
    ),
    "another pool": (
        {"user_pool_id": "eu-west-1_Other"},
        "discovery",
        "check user_pool_id",
        {"user_pool_id": "eu-west-1_Local0001"},
    ),
    "another pool's keys": (
        {"user_pool_id": "eu-west-1_Other"},
        "key_set",
        "HTTP status 404",
        {"user_pool_id": "eu-west-1_Local0001"},
    ),
    "a type of issuer that it has not": (
        {"issuers": "updated"},
        "issuer",
        "write issuers='both', or set",
        {"issuers": "both"},
    ),
    "an issuer of one's own": (
        {"issuer": "https://issuer.example"},
        "issuer",
        "write issuer='https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Local0001'",
        {"issuer": None},
    ),
    "a domain of another": (
        {"domain": "http://localhost:9"},
        "sign_in",
        "no answer: ConnectError",
        {},
    ),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_a_wrong_option_is_told_and_mended(
    pool: LocalUserPool, config: AmplifyConfig, name: str
) -> None:
    wrong, line, words, mend = WRONG_OPTIONS[name]
    given = {"client_id": pool.client_id, "client_secret": SECRET, "domain": pool.url}
    broken = config.replace(**wrong)
    found = the_line(broken, line)
    assert found.outcome == "wrong"
    assert words in " ".join(found)
    assert examine(broken).exit_status == 1
    assert the_line(broken.replace(**(given | mend)), line).outcome == "ok"


# What the pool does, the operation, the line and some of its words. It is mended when this ends.
FAULTS: dict[str, tuple[str, Any, str, str]] = {
    "no answer": ("GetUser", Down(), "pool_reachable", "no answer"),
    "a portal": ("GetUser", HTML, "pool_reachable", "look at what answers at this address"),
    "a redirect": ("GetUser", Redirect("https://x.example"), "pool_reachable", "a redirect"),
    "an outage": ("GetUser", Status(503), "pool_reachable", "HTTP status 503"),
    "a firewall": ("GetUser", CognitoError("ForbiddenException"), "pool_reachable", "WAF"),
    "a large answer": ("GetUser", Body(b"a" * (MAX_BYTES + 1)), "pool_reachable", "larger than"),
    "no document": ("openid-configuration", HTML, "discovery", "without a JSON object"),
    "a document that is refused": ("openid-configuration", Status(403), "discovery", "403"),
    "no domain": (
        "openid-configuration",
        Body(b'{"issuer": "https://x.example"}'),
        "domain",
        "give the pool a domain",
    ),
    "another issuer": (
        "openid-configuration",
        Body(b'{"issuer": "https://x.example\\n"}'),
        "issuer",
        "another pool answers",
    ),
    "no keys": ("jwks", Body(b'{"keys": []}'), "key_set", "holds no RSA key for RS256"),
    "keys that are no JSON": ("jwks", HTML, "key_set", "it is no JSON object"),
    "no API for refreshes": (
        "GetTokensFromRefreshToken",
        CognitoError("UnknownOperationException"),
        "refresh_api",
        'refresh_api="InitiateAuth"',
    ),
    "no code grant": (
        "authorize",
        AuthorizeError("unauthorized_client"),
        "code_grant",
        "allow the authorization code grant",
    ),
    "an error at sign-in": ("authorize", AuthorizeError("server_error"), "sign_in", "server_error"),
    "a sign-in that fails": ("authorize", Status(500), "sign_in", "HTTP status 500"),
    "a page in place of a sign-in": ("authorize", HTML, "sign_in", "HTTP status 200"),
    "a portal at sign-in": (
        "authorize",
        Redirect("https://portal.example/login"),
        "sign_in",
        "'https://portal.example'",
    ),
    "a sign-out that fails": ("logout", Status(502), "sign_out_url", "HTTP status 502"),
    "a sign-out page": ("logout", HTML, "sign_out_url", "sign-out URLs"),
    "a refused exchange": (
        "token",
        CognitoError("unauthorized_client"),
        "token_endpoint",
        "name the callback URL there",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_pool_is_told_until_it_is_mended(
    pool: LocalUserPool, config: AmplifyConfig, name: str
) -> None:
    operation, fault, line, words = FAULTS[name]
    with pool.fault(operation, fault):
        found = the_line(config, line)
    assert found.outcome == "wrong"
    assert words in " ".join(found)
    assert the_line(config, line).outcome == "ok"


UNKNOWN: dict[str, tuple[str, Any, str]] = {
    "a document": ("openid-configuration", Status(503), "discovery"),
    "a client": ("GetTokensFromRefreshToken", Throttling(), "app_client"),
    "a client beside a portal": ("GetTokensFromRefreshToken", HTML, "app_client"),
    "a refresh": ("GetTokensFromRefreshToken", Status(500), "refresh_api"),
    "a refresh that finds the token malformed": (
        "GetTokensFromRefreshToken",
        CognitoError("InvalidParameterException"),
        "refresh_api",
    ),
    "an exchange": ("token", HTML, "token_endpoint"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_told_now_is_unknown(
    pool: LocalUserPool, config: AmplifyConfig, name: str
) -> None:
    operation, fault, line = UNKNOWN[name]
    with pool.fault(operation, fault):
        found = examine(config)
    assert {check.outcome for check in found.checks} == {"ok", "unknown"}
    assert line in {check.name for check in found.checks if check.outcome == "unknown"}
    assert found.exit_status == 3
    assert the_line(config, line).outcome == "ok"


def test_a_pool_that_is_down_is_asked_once(pool: LocalUserPool, config: AmplifyConfig) -> None:
    with pool.fault("*", Down()):
        pool.requests.clear()
        found = examine(config)
    assert pool.requests == ["GetUser"]
    assert found.exit_status == 1
    assert [check.name for check in found.checks if check.outcome == "wrong"] == ["pool_reachable"]
    unknown = {check.name for check in found.checks if check.outcome == "unknown"}
    assert unknown >= {"key_set", "sign_in", "sign_out_url", "token_endpoint", "clock"}


BAD = [
    *(HTML, Redirect("/"), Redirect(""), Status(500), Status(204)),
    *(Throttling(), CognitoError("Some\nThing")),
    *(
        Body(text)
        for text in (b"", b"[]", b"[" * 9999, b"\xff\xfe", b'{"keys": 1}', b"a" * 300_000)
    ),
    Body(json.dumps({"issuer": 1, "jwks_uri": [], "token_endpoint": {}, "keys": [1]}).encode()),
    Body(json.dumps({"issuer": "\x1b[2J\n", "jwks_uri": "//[", "code": "\n"}).encode()),
    Body(json.dumps({"token_endpoint": "https://[x", "AuthenticationResult": 7}).encode()),
    Status(302, b"", {"Location": "?" + "&".join(["a=b"] * 100)}),
    Status(200, b"{}", {"Date": "Sat, 99 Foo 99999 99:99:99 GMT"}),
]


@pytest.mark.parametrize("fault", BAD, ids=range(len(BAD)))
def test_no_answer_of_a_pool_breaks_it(
    pool: LocalUserPool, config: AmplifyConfig, fault: Any
) -> None:
    with pool.fault("*", fault):
        found = examine(config)
    assert "this check failed" not in str(found)
    assert "\x1b" not in str(found)
    assert found.exit_status == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://[x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a:b:c/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\x80\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
    ],
)
def test_no_bytes_of_a_server_break_it(config: AmplifyConfig, sent: bytes) -> None:
    def answer(client: socket.socket) -> None:
        read_head(client)
        client.sendall(sent)

    with listening(answer) as port:
        url = f"http://127.0.0.1:{port}"
        found = examine(config.replace(endpoint_url=url, domain=url))
    assert "this check failed" not in str(found)
    assert the_outcome(found, "sign_in") in ("wrong", "unknown")  # of the same origin
    assert found.exit_status == 1


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["/error?error=x", "https://[x", f"{ROUTES.callback_url}?error=\x1b", "/login?client_id=a"]
)
VALUES = st.none() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2)
BODIES = st.binary(max_size=40) | st.dictionaries(
    st.sampled_from(
        [
            *("issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "keys", "error"),
            *("error_description", "__type", "message", "AuthenticationResult"),
        ]
    ),
    VALUES,
).map(lambda members: json.dumps(members).encode())


@settings(max_examples=150)
@given(
    status=st.sampled_from([200, 302, 400, 403, 404, 500]),
    headers=st.dictionaries(
        st.sampled_from(["location", "date", "age", "x-amzn-errortype"]), TEXTS
    ),
    body=BODIES,
)
def test_no_answer_at_all_breaks_a_check(
    pool: LocalUserPool, status: int, headers: dict[str, str], body: bytes
) -> None:
    class Answering:
        """A client that gets this answer to all requests."""

        def send(self, _: Request) -> Response:
            return Response(status, headers, body)

        def proxy_to(self, _: str) -> None:
            return None

        def unused_proxy(self, _: str) -> str:
            return ""

    client: Any = Answering()
    subject = Subject(config_of(pool, keys={"keys": []}), time.time, Network(client))
    checks = [check for probe in REMOTE_PROBES for check in probe(subject)]
    assert "\n" not in "".join(str(line) for line in as_dicts(checks))
    assert as_text(checks).replace("\n", "").isprintable()


def the_outcome(found: Examination, name: str) -> str:
    return next(check.outcome for check in found.checks if check.name == name)


def test_an_answer_without_end_is_waited_for_no_longer_than_configured(
    pool: LocalUserPool, config: AmplifyConfig
) -> None:
    with pool.fault("*", Drip()):
        found = the_line(config.replace(http_timeout=0.3), "pool_reachable")
    assert (found.outcome, "no answer" in found.found) == ("wrong", True)


class TestIssuers:
    def test_a_pool_that_has_switched_is_told_and_mended(self) -> None:
        with pool_of() as pool:
            config = config_of(pool, issuers="original")
            assert the_line(config, "issuer").found.endswith("(ORIGINAL)")
            pool.issuer_type = "UPDATED"
            found = the_line(config, "issuer")
            assert (found.outcome, "IssuerConfiguration is UPDATED" in found.mend) == (
                "wrong",
                True,
            )
            mended = the_line(config.replace(issuers="both"), "issuer")
            assert (mended.outcome, mended.found.endswith("(UPDATED)")) == ("ok", True)

    def test_a_document_that_names_other_addresses_is_doubtful(
        self, pool: LocalUserPool, config: AmplifyConfig
    ) -> None:
        other = {"issuer": pool.issuer, "jwks_uri": "https://x.example/jwks.json"}
        other["token_endpoint"] = "https://login.example/oauth2/token"
        with pool.fault("openid-configuration", Body(json.dumps(other).encode())):
            found = examine(config)
        doubtful = {check.name for check in found.checks if check.outcome != "ok"}
        assert doubtful == {"key_set_address", "domain"}
        assert found.exit_status == 0


class TestRegions:
    def test_a_replica_that_is_down_is_told_until_it_is_back(self) -> None:
        with pool_of() as pool, pool.replica("us-west-2") as replica:
            config = config_of(pool)
            assert [line.outcome for line in lines(config, "pool_reachable")] == ["ok", "ok"]
            replica.stop()
            own, other = lines(config, "pool_reachable")
            assert (own.outcome, other.outcome) == ("ok", "wrong")
            assert replica.url in other.found
            replica.start()
            assert [line.outcome for line in lines(config, "key_set")] == ["ok", "ok"]


class TestClients:
    def test_the_second_of_two_secrets_may_be_wrong(self, config: AmplifyConfig) -> None:
        first, second = lines(config.replace(client_secret=[SECRET, "x" * 24]), "client_secret")
        assert (first.outcome, second.outcome) == ("ok", "wrong")
        assert "the second one is refused" in second.found

    def test_a_rotating_client_does_not_refresh_by_initiate_auth(self) -> None:
        with pool_of(rotate_refresh_tokens=True) as pool:
            config = config_of(pool, refresh_api="InitiateAuth")
            found = the_line(config, "refresh_api")
            assert (found.outcome, found.found) == (
                "wrong",
                "InitiateAuth: InvalidParameterException",
            )
            mended = config.replace(refresh_api="GetTokensFromRefreshToken")
            assert the_line(mended, "refresh_api").outcome == "ok"

    def test_a_machines_client_is_there_and_needs_no_secret_here(self) -> None:
        with LocalUserPool() as pool:
            pool.add_machine("orders-job", scopes=["orders/read"])
            config = pool.config(client_id=[pool.client_id, "orders-job"])
            assert [line.outcome for line in lines(config, "app_client")] == ["ok", "ok"]
            assert [line.outcome for line in lines(config, "client_secret")] == ["ok", "ok"]
            assert lines(config, "refresh_api") == []

    def test_a_secret_that_a_public_client_does_not_have_is_refused_at_sign_in(self) -> None:
        with LocalUserPool() as pool:
            config = config_of(pool, client_secret=SECRET)
            found = the_line(config, "token_endpoint")
            assert (found.outcome, "invalid_client" in found.found) == ("wrong", True)
            assert the_line(config.replace(client_secret=None), "token_endpoint").outcome == "ok"

    def test_each_mount_has_its_lines(self) -> None:
        mounts = ["/shop", "/shop2"]
        uris = [ROUTES.at(mount).callback_url for mount in mounts]
        with LocalUserPool(redirect_uris=uris[:1]) as pool:
            first, second = lines(config_of(pool, mount=mounts), "callback_url")
        assert (first.outcome, second.outcome) == ("ok", "wrong")
        assert uris[1] in second.mend


class TestKeys:
    def test_preloaded_keys_that_are_stale_are_told(
        self, pool: LocalUserPool, config: AmplifyConfig, tmp_path: Path
    ) -> None:
        file = tmp_path / "jwks.json"
        with LocalUserPool(key=new_signing_key()) as other:
            theirs = other.jwks()["keys"]
        ours = pool.jwks()["keys"]
        outcomes = {}
        for name, keys in {"stale": theirs, "more": ours + theirs, "same": ours}.items():
            file.write_text(json.dumps({"keys": keys}))
            outcomes[name] = the_line(config.replace(keys=file), "preloaded_keys")
        assert {name: line.outcome for name, line in outcomes.items()} == {
            "stale": "wrong",
            "more": "warning",
            "same": "ok",
        }
        assert f"save {pool.jwks_url} anew" in outcomes["stale"].mend

    def test_a_file_that_is_none_is_told(self, config: AmplifyConfig, tmp_path: Path) -> None:
        line = the_line(config.replace(keys=tmp_path / "none.json"), "preloaded_keys")
        assert (line.outcome, "none.json cannot be read" in line.found) == ("wrong", True)

    def test_without_the_pool_they_cannot_be_compared(
        self, pool: LocalUserPool, config: AmplifyConfig
    ) -> None:
        keys = pool.jwks()
        with pool.fault("jwks", Down()):
            line = the_line(config.replace(keys=keys), "preloaded_keys")
        assert line.outcome == "unknown"


class TestClock:
    @pytest.mark.parametrize(
        ("ahead", "leeway", "outcome", "words"),
        [
            (0, 5, "ok", "as the pool's"),
            (3600, 5, "wrong", "ahead of the pool's"),
            (-3600, 5, "wrong", "behind the pool's"),
        ],
    )
    def test_it_is_compared_with_the_pools(
        self, config: AmplifyConfig, ahead: float, leeway: float, outcome: str, words: str
    ) -> None:
        changed = config.replace(leeway=leeway)
        line = the_line(changed, "clock", clock=lambda: time.time() + ahead)
        assert (line.outcome, words in line.found) == (outcome, True)

    @pytest.mark.parametrize(
        ("ahead", "outcome"), [(20, "ok"), (45, "warning"), (-45, "warning"), (65, "wrong")]
    )
    def test_the_leeway_decides(
        self, pool: LocalUserPool, config: AmplifyConfig, ahead: int, outcome: str
    ) -> None:
        now = Status(200, b"{}", {"Date": "Tue, 01 Dec 2026 12:00:00 GMT"})
        clock = 1796126400 + ahead  # that date, and more
        with pool.fault("GetUser", now):
            line = the_line(config.replace(leeway=60), "clock", clock=lambda: clock)
        assert line.outcome == outcome

    def test_a_cached_answer_tells_no_time(
        self, pool: LocalUserPool, config: AmplifyConfig
    ) -> None:
        with pool.fault("*", Status(200, b"{}", {"Age": "9", "Date": "x"})):
            assert the_line(config, "clock").outcome == "unknown"


class TestNetwork:
    def test_a_proxy_that_is_not_used_is_told_and_mended(
        self, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = int(pool.url.rpartition(":")[2])
        with proxying({"cognito.invalid": port}) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            config = pool.config(
                endpoint_url="http://cognito.invalid", domain=None, allow_insecure_http=True
            )
            unused = the_line(config, "proxy")
            assert unused.outcome == "warning"
            assert "HTTP_PROXY is set, and not used" in unused.found
            assert the_line(config, "pool_reachable").outcome == "wrong"
            mended = config.replace(proxy="environment")
            assert the_line(mended, "proxy").found == proxy.url.removeprefix("http://")
            assert the_line(mended, "pool_reachable").outcome == "ok"

    def test_amazons_hosts_are_asked_through_the_proxy(
        self, pool: LocalUserPool, authority: Authority
    ) -> None:
        hosts = [f"{kind}cognito-idp.eu-west-1.amazonaws.com" for kind in ("", "issuer-")]
        port = int(pool.url.rpartition(":")[2])

        def forbid(client: socket.socket) -> None:  # as for a pool that has not switched
            read_head(client)
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}")

        with (
            fronted(port, authority.issue(hosts[0])) as own,
            listening(forbid, authority.issue(hosts[1])) as updated,
            proxying(dict(zip(hosts, (own, updated), strict=True))) as proxy,
        ):
            config = AmplifyConfig(
                user_pool_id=pool.user_pool_id,
                client_id=pool.client_id,
                client_secret=SECRET,
                proxy=proxy.url,
                issuers="updated",
            )
            line = the_line(config, "discovery")
            assert (line.outcome, "write issuers='both', or set" in line.mend) == ("wrong", True)
            mended = config.replace(issuers="both")
            for name in ("discovery", "issuer", "key_set", "pool_reachable", "client_secret"):
                assert the_line(mended, name).outcome == "ok"
            assert {line.split()[1] for line in proxy.asked} == {f"{host}:443" for host in hosts}

    def test_a_malformed_proxy_is_a_line_without_its_password(
        self, config: AmplifyConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5://ada:{SECRET}@proxy:1080")
        line = the_line(config.replace(proxy="environment"), "proxy")
        assert (line.outcome, "SOCKS proxies are not supported" in line.found) == ("wrong", True)
        monkeypatch.delenv("HTTPS_PROXY")
        assert the_line(config.replace(proxy="environment"), "proxy").outcome == "ok"

    def test_tls_that_fails_is_told_as_in_the_log(
        self, config: AmplifyConfig, tmp_path: Path, authority: Authority
    ) -> None:
        stranger = Authority(tmp_path, "stranger")
        with listening(say_hi, stranger.issue("127.0.0.1")) as port:
            line = the_line(
                config.replace(endpoint_url=f"https://127.0.0.1:{port}"), "pool_reachable"
            )
        assert (line.outcome, "SSL_CERT_FILE" in line.found) == ("wrong", True)


class TestSettings:
    CASES: ClassVar[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
        "any_client": (
            {"client_id": None, "client_secret": None},
            {"client_id": "local-client", "client_secret": SECRET},
        ),
        "local_pool": ({"origins": ["https://app.example.com"]}, {"origins": []}),
        "insecure_http": (
            {"endpoint_url": "http://cognito:9229", "allow_insecure_http": True},
            {"endpoint_url": "https://cognito", "allow_insecure_http": False},
        ),
    }

    @pytest.mark.parametrize("name", CASES)
    def test_a_dangerous_setting_is_told_and_mended(self, pool: LocalUserPool, name: str) -> None:
        wrong, mend = self.CASES[name]
        config = pool.config(**wrong)
        assert the_line(config, name, network=False).outcome == "warning"
        assert examine(config, network=False).exit_status == 0
        assert examine(config, network=False, strict=True).exit_status == 1
        assert the_line(config.replace(**mend), name, network=False).outcome == "ok"


class TestCommand:
    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        status = main(["doctor", *arguments])
        told = capsys.readouterr()
        assert told.err == ""
        return status, told.out

    @pytest.fixture
    def outputs(self, tmp_path: Path) -> str:
        with LocalUserPool() as pool:
            file = tmp_path / "amplify_outputs.json"
            file.write_text(json.dumps(pool.outputs()))
            self.pool = pool
            return str(file)

    def test_it_prints_a_line_for_each_check(
        self, capsys: pytest.CaptureFixture[str], outputs: str
    ) -> None:
        with self.pool:
            status, text = self.run(capsys, "--config", outputs)
        assert status == 0
        assert "ok       pool_reachable" in text

    def test_it_prints_json(self, capsys: pytest.CaptureFixture[str], outputs: str) -> None:
        status, text = self.run(capsys, "--config", outputs, "--json")
        found = json.loads(text)
        assert (status, found["exit_status"], sorted(found)) == (1, 1, ["checks", "exit_status"])
        reached = next(line for line in found["checks"] if line["name"] == "pool_reachable")
        assert sorted(reached) == ["found", "mend", "name", "outcome"]
        assert reached["outcome"] == "wrong"

    def test_offline_asks_nobody(self, capsys: pytest.CaptureFixture[str], outputs: str) -> None:
        with self.pool:
            assert self.run(capsys, "--config", outputs, "--offline")[0] == 0
            assert self.pool.requests == []

    def test_strict_takes_warnings_for_faults(self, capsys: pytest.CaptureFixture[str]) -> None:
        source = f"{__name__}:ANY_CLIENT"
        assert self.run(capsys, "--config", source, "--offline")[0] == 0
        assert self.run(capsys, "--config", source, "--offline", "--strict")[0] == 1

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("none.json", "none.json"),
            ("no_such_module_of_mine:config", "No module named"),
            ("module_that_fails:config", "importing it has raised KeyError in "),
        ],
    )
    def test_a_configuration_that_is_none_is_a_line(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        source: str,
        words: str,
    ) -> None:
        (tmp_path / "module_that_fails.py").write_text(f"raise KeyError({SECRET!r})")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        status, text = self.run(capsys, "--config", source)
        assert status == 1
        assert text.startswith("wrong    configuration")
        assert words in text
        assert SECRET not in text


def broken(_: Subject) -> Iterator[Check]:
    yield Check("first", "ok")
    raise RuntimeError(SECRET)


def test_a_check_that_fails_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_LOCAL", (broken, broken))
    found = examine(ANY_CLIENT, network=False)
    assert [(check.name, check.outcome) for check in found.checks] == [
        ("first", "ok"),
        ("broken", "unknown"),
    ] * 2
    assert "failed with RuntimeError" in str(found)
    assert SECRET not in str(found)


def test_something_else_is_no_configuration() -> None:
    with pytest.raises(ConfigurationError, match=r"^config: write AmplifyConfig"):
        examine({})  # type: ignore[arg-type]


def test_without_a_word_of_a_pool_the_line_names_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert main(["doctor", "--offline"]) == 1
    assert "--config amplify_outputs.json, or --config module:attribute" in capsys.readouterr().out


def test_the_page_has_every_line() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\|$", PAGES["doctor"], re.MULTILINE)
    package = Path(amplify_mw.__file__).parent
    dangers = {"insecure_http", "any_client", "local_pool", "debug_headers"}
    files = [
        *package.glob("diagnostics/examination/*.py"),
        *package.glob("stores/**/examination.py"),
    ]
    sources = [path.read_text() for path in (*files, package / "stores" / "memory.py")]
    made = set(
        re.findall(r'(?:Check\(\s*|\bname(?:, \w+)? = |": \()"([a-z_]+)"', "\n".join(sources))
    )
    assert made | dangers == set(rows)


def test_an_examination_is_its_lines() -> None:
    found = Examination((Check("issuer", "warning", "a", "b", "c"),))
    assert " ".join(str(found).split()) == "warning issuer found a wanted b mend c 1 warning"
    assert (found.exit_status, found._replace(strict=True).exit_status) == (0, 1)


def test_the_worst_lines_come_last_with_their_number() -> None:
    outcomes: tuple[Outcome, ...] = ("wrong", "ok", "warning", "unknown", "wrong", "ok")
    found = Examination(tuple(Check(f"{at}", each) for at, each in enumerate(outcomes)))
    lines = str(found).splitlines()
    assert [line.split()[-1] for line in lines[:-2]] == ["1", "5", "3", "2", "0", "4"]
    assert lines[-1] == "2 wrong, 1 warning, 1 unknown, 2 ok"
    assert [line["name"] for line in found.to_dict()["checks"]] == ["0", "1", "2", "3", "4", "5"]


def test_an_interrupted_command_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_with_ctrl_c.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["doctor", "--config", "module_with_ctrl_c:config"]) == 130
