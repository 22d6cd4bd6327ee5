"""`proxy=`: a network that only an HTTP proxy leads out of. The proxies are real, on this machine.

The user pool stands behind TLS at the names of Amazon's, which nothing but the proxy knows to be
here.
"""

import copy
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyConfig, ConfigurationError, SealedSession
from amplify_mw.effects import Request, Unreachable
from amplify_mw.engine.engine import Engine
from amplify_mw.engine.http import HttpClient
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.proxy import Proxy as Address
from amplify_mw.web.proxy import parse_proxy
from tests.certificates import Authority, listening, say_hi
from tests.proxies import Proxy, fronted, proxying
from tests.shells import Ask, Shell
from tests.sites import KEYS

POOL_ID = "eu-west-1_Ab12Cd34E"
AMAZON = "cognito-idp.eu-west-1.amazonaws.com"
DOMAIN = "auth.example.com"
URL = f"https://{AMAZON}/"
VARIABLES = [
    name
    for kind in ("http", "https", "all", "no")
    for name in (f"{kind}_proxy", f"{kind}_proxy".upper())
]
PATIENCE = 20  # seconds, for what ends by itself much earlier


@pytest.fixture(autouse=True)
def no_proxy_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*VARIABLES, "REQUEST_METHOD"]:
        monkeypatch.delenv(name, raising=False)


Named = Callable[..., HttpClient]


@pytest.fixture
def client() -> Iterator[Named]:
    """Makes clients. No host name is looked up but those of proxies: nothing else leads out."""
    made: list[HttpClient] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(-2, "Name or service not known")
        return [(None, None, 0, "", ("127.0.0.1", port))]

    def make(proxy: str | None = None, timeout: float = PATIENCE) -> HttpClient:
        made.append(HttpClient(timeout, proxy=proxy, resolve=resolve))
        return made[-1]

    yield make
    for one in made:
        one.close()


def outcome(client: HttpClient, url: str = URL) -> str:
    """What an address answers, or why it does not."""
    try:
        return client.send(Request("GET", url)).content.decode()
    except Unreachable as failure:
        return str(failure)


@pytest.fixture
def hi(authority: Authority) -> Iterator[dict[str, int]]:
    """A server at Amazon's name: where that leads."""
    with listening(say_hi, authority.issue(AMAZON)) as port:
        yield {AMAZON: port}


# --- the whole way


@pytest.fixture
def amazon(authority: Authority) -> Iterator[tuple[LocalUserPool, dict[str, int]]]:
    """A pool whose tokens are Amazon's, and where its names lead."""
    with LocalUserPool(user_pool_id=POOL_ID, issuer=f"https://{AMAZON}/{POOL_ID}") as pool:
        pool.add_user("ada", email="ada@example.com")
        port = int(pool.url.rpartition(":")[2])
        with fronted(port, authority.issue(AMAZON, DOMAIN)) as front:
            yield pool, {AMAZON: front, DOMAIN: front}


_different = count(1000)


def configured(**options: Any) -> AmplifyConfig:
    """One that no engine of an earlier test was made for, in whose environment it was."""
    given: dict[str, Any] = {"user_pool_id": POOL_ID, "client_id": "local-client", "domain": DOMAIN}
    given["cache_entries"] = next(_different)
    return AmplifyConfig(**{**given, "session": SealedSession(keys=KEYS[:1]), **options})


def live(shell: Shell, engine: Engine, pool: LocalUserPool) -> str:
    """Sign in, be asked about, be refreshed, and sign out, all in one request."""

    def act() -> str:
        shell.verbs.start_session(pool.sign_in("ada"))
        email = shell.verbs.fetch_user_attributes()["email"]
        shell.verbs.fetch_auth_session(force_refresh=True)
        shell.verbs.end_session()
        return str(email)

    got = shell.send(shell.middleware(shell.app(act), engine), Ask())
    engine.close()  # which waits for the revocation
    return got.body


@pytest.mark.parametrize("password", [None, "ada:correct horse"])
@pytest.mark.parametrize("way", ["option", "environment"])
@pytest.mark.parametrize("refresh_api", ["GetTokensFromRefreshToken", "oauth"])
def test_keys_api_tokens_and_revocation_go_through_it(
    shell: Shell,
    amazon: tuple[LocalUserPool, dict[str, int]],
    way: str,
    refresh_api: str,
    password: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, leads = amazon
    with proxying(leads, password=password) as proxy:
        url = proxy.url.replace("//", "//ada:correct%20horse@") if password else proxy.url
        if way == "environment":
            monkeypatch.setenv("HTTPS_PROXY", url)
        engine = Engine(configured(refresh_api=refresh_api, proxy=url if way == "option" else way))
        assert live(shell, engine, pool) == "ada@example.com"
    own = ["token", "revoke"] if refresh_api == "oauth" else [refresh_api, "RevokeToken"]
    assert pool.requests == ["jwks", "GetUser", *own]
    hosts = [AMAZON, DOMAIN] if refresh_api == "oauth" else [AMAZON]
    assert set(proxy.asked) == {f"CONNECT {host}:443 HTTP/1.1" for host in hosts}


def test_signing_in_at_the_pools_pages_goes_through_it(
    shell: Shell, amazon: tuple[LocalUserPool, dict[str, int]]
) -> None:
    from amplify_mw import AuthRoutes, CookiePolicy
    from tests.routes.going import NAVIGATION

    pool, leads = amazon
    site = "http://localhost:8000"
    with proxying(leads) as proxy:
        config = configured(
            proxy=proxy.url, routes=AuthRoutes(origin=site), cookie=CookiePolicy.for_origin(site)
        )
        engine = Engine(config)
        app = shell.middleware(shell.app(lambda: "hello"), engine)
        same = {**NAVIGATION, "Sec-Fetch-Site": "same-origin"}
        left = shell.send(app, Ask("/auth/sign-in", headers=same))
        leaving = str(left.one("location"))
        back = pool.authorize(leaving.replace(f"https://{DOMAIN}", pool.url), "ada")
        path, _, query = back.removeprefix(site).partition("?")
        attempt = left.one("set-cookie").partition(";")[0]
        done = shell.send(app, Ask(path, query=query, cookies=attempt, headers=same))
        assert any(line.startswith("amplify-session=") for line in done.all("set-cookie"))
        engine.close()
    assert set(proxy.asked) == {f"CONNECT {host}:443 HTTP/1.1" for host in (AMAZON, DOMAIN)}


def test_a_connection_through_it_is_kept(client: Named, hi: dict[str, int]) -> None:
    with proxying(hi) as proxy:
        one = client(proxy.url)
        assert [outcome(one) for _ in range(3)] == ["hi"] * 3
        assert len(proxy.asked) == 1
        one.close()
        assert outcome(one) == "hi"
        assert len(proxy.asked) == 2
        one.after_fork()  # as in a child, which has connections of its own
        assert outcome(one) == "hi"
        assert len(proxy.asked) == 3
        for pools in one._parents:
            for pool in pools.values():
                pool.close()
        one.close()


def test_without_the_option_it_is_not_used(
    client: Named, hi: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(hi) as proxy:
        for name in VARIABLES[:6]:
            monkeypatch.setenv(name, proxy.url)
        assert outcome(client()) == (
            "gaierror: Name or service not known; HTTPS_PROXY is set but not used: write "
            "proxy='environment'"
        )
        assert proxy.asked == []


# --- this very machine


@pytest.mark.parametrize("way", ["option", "environment"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without(
    client: Named, authority: Authority, way: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        listening(say_hi, authority.issue(host)) as port,
        listening(say_hi) as plain,
        proxying({}) as proxy,
    ):
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        one = client(proxy.url if way == "option" else way)
        assert outcome(one, f"https://{host}:{port}/") == "hi"
        assert outcome(one, f"http://{host}:{plain}/") == "hi"
        one.close()
        assert proxy.asked == []


def test_plain_http_elsewhere_is_asked_for_by_its_whole_address(client: Named) -> None:
    with (
        listening(say_hi) as port,
        proxying({"cognito": port}, password="ada:secret") as proxy,
    ):
        one = client(proxy.url.replace("//", "//ada:secret@"))
        assert outcome(one, f"http://cognito:{port}/a") == "hi"
        one.close()
        assert proxy.asked == [f"GET http://cognito:{port}/a HTTP/1.1"]


# --- a proxy that is asked by TLS itself


def test_a_proxy_may_be_asked_by_tls(
    client: Named, hi: dict[str, int], authority: Authority
) -> None:
    own = authority.issue("127.0.0.1")
    with proxying(hi, password="a:b", certificate=own) as proxy:
        one = client(proxy.url.replace("//", "//a:b@"))
        assert [outcome(one), outcome(one)] == ["hi", "hi"]
        one.close()
        assert len(proxy.asked) == 1


def test_the_proxys_own_certificate_counts(
    client: Named, hi: dict[str, int], authority: Authority
) -> None:
    with proxying(hi, certificate=authority.issue("192.0.2.1")) as proxy:
        said = outcome(client(proxy.url))
        assert said.startswith("TLS with 127.0.0.1 failed: its certificate is for another host")
        assert proxy.asked == []


@pytest.mark.parametrize("secured", [False, True])
def test_the_servers_certificate_counts_through_it(
    client: Named, authority: Authority, secured: bool
) -> None:
    own = authority.issue("127.0.0.1") if secured else None
    with (
        listening(say_hi, authority.issue("another.example")) as port,
        proxying({AMAZON: port}, certificate=own) as proxy,
    ):
        said = outcome(client(proxy.url))
    assert said.startswith(f"TLS with {AMAZON} failed: its certificate is for another host name")
    assert said.endswith(f"through the proxy {proxy.url.partition('//')[2]}")


def test_a_proxy_that_opens_tls_is_named_as_a_cause(
    client: Named, hi: dict[str, int], authority: Authority, tmp_path: Any
) -> None:
    theirs = Authority(tmp_path, "interceptor")
    with (
        listening(say_hi, theirs.issue(AMAZON)) as port,
        proxying({AMAZON: port}) as proxy,
    ):
        said = outcome(client(proxy.url))
    assert "or a proxy's that opens TLS, name the file of its certificate in SSL_CERT_FILE" in said


# --- what goes wrong


def told(proxy: Proxy, why: str) -> str:
    return f"{why}, through the proxy {proxy.url.partition('//')[2]}"


@pytest.mark.parametrize("given", ["", "ada:wrong@", "ada@", "bob:secret@"])
def test_a_proxy_that_wants_another_password_is_told_as_one(
    client: Named, hi: dict[str, int], given: str
) -> None:
    with proxying(hi, password="ada:secret") as proxy:
        said = outcome(client(proxy.url.replace("//", f"//{given}")))
        assert said == told(proxy, "HTTP status 407; it wants another user and password")


STATUSES = {
    b"403 Blocked by ada:secret": "HTTP status 403",
    b"502 Bad Gateway": "HTTP status 502",
    b"302 Found": "HTTP status 302",
}


@pytest.mark.parametrize("answer", STATUSES)
def test_a_proxy_that_refuses_is_told_by_its_status_alone(
    client: Named, hi: dict[str, int], answer: bytes
) -> None:
    with proxying(hi) as proxy:
        head = b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n"
        proxy.instead = lambda connection: connection.sendall(head)
        assert outcome(client(proxy.url)) == told(proxy, STATUSES[answer])


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=100))
def test_whatever_a_proxy_answers_is_unreachable(answer: bytes) -> None:
    with proxying({}) as proxy:
        proxy.instead = lambda connection: connection.sendall(answer)
        client = HttpClient(10, proxy=proxy.url)
        said = outcome(client)
        client.close()
        assert said.endswith(f"through the proxy {proxy.url.partition('//')[2]}")
        assert said.isascii()


def test_a_proxy_that_is_not_there_is_named(client: Named) -> None:
    said = outcome(client("http://ada:secret@localhost:9"))
    assert said == "ConnectError: Connection refused, through the proxy localhost:9"
    said = outcome(client("http://ada:secret@proxy:3128"))
    assert said == "gaierror: Name or service not known, through the proxy proxy:3128"


def hang(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait(PATIENCE)


def drip(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not ended.wait(0.02):
        connection.sendall(b"x")


def hang_later(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    ended.wait(PATIENCE)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("speak", [hang, drip, hang_later])
def test_the_one_deadline_holds_through_it(
    client: Named,
    hi: dict[str, int],
    authority: Authority,
    speak: Callable[[socket.socket, threading.Event], None],
    secured: bool,
) -> None:
    ended = threading.Event()
    own = authority.issue("127.0.0.1") if secured else None
    with proxying(hi, certificate=own) as proxy, ThreadPoolExecutor(1) as thread:
        proxy.instead = lambda connection: speak(connection, ended)
        one = client(proxy.url, timeout=0.5)
        try:
            said = thread.submit(outcome, one).result(PATIENCE)
        finally:
            ended.set()
    assert "Timeout" in said
    assert said.endswith(f"through the proxy {proxy.url.partition('//')[2]}")


@pytest.mark.parametrize("secured", [False, True])
def test_a_server_that_drips_behind_it_gains_nothing(
    client: Named, authority: Authority, secured: bool
) -> None:
    ended = threading.Event()
    own = authority.issue("127.0.0.1") if secured else None
    with (
        listening(lambda connection: drip(connection, ended), authority.issue(AMAZON)) as port,
        proxying({AMAZON: port}, certificate=own) as proxy,
        ThreadPoolExecutor(1) as thread,
    ):
        try:
            said = thread.submit(outcome, client(proxy.url, timeout=0.5)).result(PATIENCE)
        finally:
            ended.set()
    assert "Timeout" in said


# A part of a TLS record after the other: each byte is news, and no record ever ends.
def test_a_record_that_drips_within_two_layers_gains_nothing(
    client: Named, authority: Authority
) -> None:
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.recv(65536)  # the client's hello
        connection.sendall(b"\x16\x03\x03\x3f\xff")  # a record of 16,383 bytes
        while not ended.wait(0.02):
            connection.sendall(b"\x02")

    with (
        proxying({}, certificate=authority.issue("127.0.0.1")) as proxy,
        ThreadPoolExecutor(1) as thread,
    ):
        proxy.instead = speak
        try:
            said = thread.submit(outcome, client(proxy.url, timeout=0.5)).result(PATIENCE)
        finally:
            ended.set()
    assert "Timeout" in said


# --- what the environment says


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_environment_names_it_by_any_of_these(
    client: Named, hi: dict[str, int], name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(hi) as proxy:
        monkeypatch.setenv(name, scheme + proxy.url.partition("//")[2])
        one = client("environment")
        assert outcome(one) == "hi"
        one.close()
        assert proxy.asked == [f"CONNECT {AMAZON}:443 HTTP/1.1"]


def test_the_environment_names_others_by_others(
    client: Named, hi: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(hi) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)  # for addresses that begin with http:
        assert "gaierror" in outcome(client("environment"))
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", "http://localhost:9")  # the small one wins
        one = client("environment")
        assert outcome(one) == "hi"
        one.close()


@pytest.mark.parametrize(
    ("exceptions", "is_asked"),
    [
        ("", True),
        ("example.com,localhost", True),
        (AMAZON, False),
        ("amazonaws.com", False),
        (".amazonaws.com", False),
        (f"example.com, {AMAZON.upper()}", False),
        (f"{AMAZON}:443", True),  # the address names no port
        ("*", False),
        ("idp.eu-west-1.amazonaws.com", True),  # only whole labels count
    ],
)
def test_no_proxy_names_those_that_are_asked_without(
    client: Named,
    hi: dict[str, int],
    exceptions: str,
    is_asked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxying(hi) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exceptions)
        one = client("environment")
        assert outcome(one) == ("hi" if is_asked else "gaierror: Name or service not known")
        one.close()


def test_an_environment_without_a_proxy_is_one_without(client: Named) -> None:
    assert outcome(client("environment")) == "gaierror: Name or service not known"


@pytest.mark.parametrize(
    ("value", "mend"),
    [
        ("socks5://ada:secret@proxy:1080", "SOCKS proxies are not supported; write the address"),
        ("http://ada:secret@proxy:port", "write the address of an HTTP proxy"),
        ("ftp://ada:secret@proxy", "write the address of an HTTP proxy"),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"])
def test_an_environment_that_cannot_work_is_refused_when_the_middleware_is_made(
    shell: Shell, name: str, value: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        shell.middleware(shell.app(lambda: ""), Engine(configured(proxy="environment")))
    assert str(caught.value).startswith(f"proxy: 'environment' finds {name}: {mend}")
    assert "secret" not in str(caught.value)


# --- the hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HTTPS_PROXY", "HTTPS_PROXY is set but not used: write proxy='environment'"),
        ("https_proxy", "HTTPS_PROXY is set but not used: write proxy='environment'"),
        ("ALL_PROXY", "ALL_PROXY is set but not used: write proxy='environment'"),
        ("HTTP_PROXY", None),
        ("NO_PROXY", None),
    ],
)
def test_an_outage_names_a_proxy_that_lies_unused(
    client: Named, name: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://ada:secret@proxy:3128")
    got = outcome(client())
    assert got == "gaierror: Name or service not known" + (f"; {said}" if said else "")
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    assert outcome(client()) == "gaierror: Name or service not known"


def test_a_firewall_that_hangs_up_leads_to_the_hint(
    client: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with listening(hang_up) as port:
        one = client()
        one._resolve = lambda host, *_, **__: [(0, 0, 0, "", ("127.0.0.1", port))]
        said = outcome(one, f"https://{AMAZON}:{port}/")
    assert said.endswith("; HTTPS_PROXY is set but not used: write proxy='environment'")


def test_a_server_that_was_reached_does_not(
    client: Named, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    def leave(connection: socket.socket) -> None:
        connection.recv(65536)

    with listening(leave, authority.issue(AMAZON)) as port:
        one = client()
        one._resolve = lambda host, *_, **__: [(0, 0, 0, "", ("127.0.0.1", port))]
        assert "HTTPS_PROXY" not in outcome(one, f"https://{AMAZON}:{port}/")


def test_what_is_on_this_machine_has_no_such_excuse(
    client: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert outcome(client(), "http://localhost:9/") == "ConnectError: Connection refused"


def test_a_firewall_that_drops_everything_leads_to_the_hint(
    client: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    one = client(timeout=0.1)
    done = threading.Event()
    one._resolve = lambda host, port, **_: done.wait(0.5) or [(0, 0, 0, "", ("127.0.0.1", port))]
    assert (
        outcome(one) == "TimeoutError; HTTPS_PROXY is set but not used: write proxy='environment'"
    )


def test_the_log_says_so_when_the_keys_are_unavailable(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret@proxy:3128")
    # No resolver knows it. (Engines of one issuer would share what the log was told.)
    issuer = f"https://nowhere-{type(shell).__name__.lower()}.invalid/{POOL_ID}"
    with LocalUserPool(user_pool_id=POOL_ID, issuer=issuer) as pool:
        pool.add_user("ada")
        cookie = f"amplify-session={pool.sign_in('ada').access_token}"
    engine = Engine(AmplifyConfig(user_pool_id=POOL_ID, client_id="local-client", issuer=issuer))
    app = shell.middleware(shell.app(lambda: shell.verbs.get_current_user().username), engine)
    got = shell.send(app, Ask(cookies=cookie))
    assert (got.status, got.all("set-cookie")) == (503, [])
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "HTTPS_PROXY is set but not used: write proxy='environment'" in said
    assert "secret" not in said
    engine.close()


# --- the option


ADDRESSES = {
    "http://proxy:3128": Address("http", "proxy", 3128),
    "http://proxy": Address("http", "proxy", 80),
    "https://proxy/": Address("https", "proxy", 443),
    "HTTP://Proxy:8080": Address("http", "proxy", 8080),
    "http://[::1]:3128": Address("http", "::1", 3128),
    "http://squid_1:3128": Address("http", "squid_1", 3128),
    "http://ada@proxy:1": Address("http", "proxy", 1, (b"ada", b"")),
    "http://ada:a%40b%3a%c3%a9@proxy:1": Address("http", "proxy", 1, (b"ada", b"a@b:\xc3\xa9")),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text: str) -> None:
    assert parse_proxy(text) == ADDRESSES[text]
    assert configured(proxy=text).proxy == text


WRONG: list[Any] = [
    *("", "proxy:3128", "//proxy:3128", "ftp://hunter2@proxy", "http://", "http://:3128", "none"),
    *("http://hunter2:hunter2@proxy:port", "http://hunter2:a/b@proxy", "http://hunter2:a#b@proxy"),
    *("http://hunter2:a?b@proxy", "http://proxy:99999", "http://proxy/path", "http://a b"),
    *("http://proxy\r\nX: hunter2", "http://hunter2:é@proxy", "http://[::1", "http://[hunter2]"),
    *("Environment", b"http://proxy", 3128, True, {"https": "http://proxy"}, ["http://proxy"]),
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_proxy_is_refused_unseen(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(proxy=value)
    assert str(caught.value).startswith("proxy: write the address of an HTTP proxy, such as 'http:")
    assert str(caught.value).endswith("; or write 'environment'")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4", "socks"])
def test_socks_is_refused_by_name(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^proxy: SOCKS proxies are not supported; write"):
        configured(proxy=f"{scheme}://hunter2:hunter2@proxy:1080")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for spelling in (text, f"http://{text}", f"http://{text}@proxy:1", f"http://proxy:{text}"):
        try:
            assert isinstance(parse_proxy(spelling), Address)
        except ConfigurationError as error:
            assert "write the address of an HTTP proxy" in str(error)  # noqa: PT017


def test_the_password_is_shown_nowhere(
    client: Named, hi: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with proxying(hi, password="ada:hunter2") as proxy:
        url = proxy.url.replace("//", "//ada:hunter2@")
        config = configured(proxy=url)
        one = client(url)
        assert outcome(one) == "hi"
        (pool,) = one._pools.values()
        shown = [repr(config), str(config), repr(config.user_pools), repr(one), repr(pool)]
        shown += [repr(parse_proxy(url)), str(parse_proxy(url)), f"{one._way.__dict__}"]
        one.close()
        proxy.password = "ada:other"
        with pytest.raises(Unreachable) as caught:
            client(url).send(Request("GET", URL))
        shown += [repr(caught.value), repr(caught.value.__cause__)]
    secrets = ("hunter2", "YWRhOmh1bnRlcjI=")
    assert not [text for text in (*shown, caplog.text) for secret in secrets if secret in text]
    assert caplog.text


def test_those_that_differ_in_it_share_nothing() -> None:
    one = configured()
    other = one.replace(proxy="http://proxy:3128")
    assert one != other
    assert Engine.of(one).driver is not Engine.of(other).driver
    for same in (other.replace(), copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
        assert same == other


def test_who_has_no_proxy_does_not_pay_for_one() -> None:
    script = """
import sys
from amplify_mw import AmplifyConfig
from amplify_mw.engine.engine import Engine
before = set(sys.modules)
engine = Engine(AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web"))
print(sorted({"urllib.request", "httpcore2", "amplify_mw.engine.network"} & set(sys.modules)))
"""
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environ, "HTTPS_PROXY": "http://proxy:3128"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
