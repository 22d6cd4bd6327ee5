"""What is said when TLS fails: the cause, and what to do. The servers are real, on this machine."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AuthRoutes, SealedSession
from amplify_mw.effects import Request, Unreachable
from amplify_mw.engine.engine import Engine
from amplify_mw.engine.http import HttpClient
from amplify_mw.engine.network import why_tls
from amplify_mw.testing import LocalUserPool
from tests.certificates import HOUR, Authority, listening, say_hi
from tests.patience import PATIENCE
from tests.proxies import fronted
from tests.routes.going import NAVIGATION
from tests.shells import Ask, Shell
from tests.sites import KEYS

HOST = "127.0.0.1"
DAY = timedelta(days=1)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


def outcome(url: str) -> str:
    """What an address answers, or why it does not."""
    client = HttpClient(10)
    try:
        return client.send(Request("GET", url)).content.decode()
    except Unreachable as failure:
        return str(failure)
    finally:
        client.close()


def test_a_server_for_which_the_machine_vouches_is_asked(authority: Authority) -> None:
    with listening(say_hi, authority.issue(HOST)) as port:
        assert outcome(f"https://{HOST}:{port}/") == "hi"


CAUSES: dict[str, tuple[Callable[[Authority, Authority], Path], str]] = {
    "unknown authority": (
        lambda ours, theirs: theirs.issue(HOST),
        "its certificate comes from an authority that this machine does not know; if that is your "
        "own, or a proxy's that opens TLS, name the file of its certificate in SSL_CERT_FILE",
    ),
    "signed by itself": (
        lambda ours, theirs: ours.issue(HOST, by_itself=True),
        "an authority that this machine does not know",
    ),
    "expired": (
        lambda ours, theirs: ours.issue(HOST, begins=-DAY, ends=-HOUR),
        "its certificate has expired, or this machine's clock is ahead",
    ),
    "not valid yet": (
        lambda ours, theirs: ours.issue(HOST, begins=HOUR, ends=DAY),
        "its certificate is not valid yet; look at this machine's clock",
    ),
    "another address": (
        lambda ours, theirs: ours.issue("192.0.2.1"),
        "its certificate is for another host name; look at the address in the configuration",
    ),
    "another name": (
        lambda ours, theirs: ours.issue("auth.example.com"),
        "its certificate is for another host name",
    ),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_a_certificate_that_is_refused_is_told_by_its_cause(
    kind: str, authority: Authority, stranger: Authority
) -> None:
    issue, cause = CAUSES[kind]
    with listening(say_hi, issue(authority, stranger)) as port:
        said = outcome(f"https://{HOST}:{port}/")
    assert said.startswith(f"TLS with {HOST} failed: ")
    assert cause in said


def test_a_name_that_leads_elsewhere_is_told_with_that_name(authority: Authority) -> None:
    with listening(say_hi, authority.issue("auth.example.com")) as port:
        said = outcome(f"https://localhost:{port}/")
    assert said.startswith("TLS with localhost failed: its certificate is for another host name;")


def test_an_unknown_authority_is_told_without_any_named_file(
    stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with listening(say_hi, stranger.issue(HOST)) as port:
        assert "SSL_CERT_FILE" in outcome(f"https://{HOST}:{port}/")


def test_a_server_without_tls_is_told_as_one(authority: Authority) -> None:
    def complain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65536)

    with listening(complain) as port:
        said = outcome(f"https://{HOST}:{port}/")
    assert "it does not speak TLS; look at the port, and whether it is to be http://" in said


def test_a_server_that_hangs_up_is_told_as_one(authority: Authority) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.shutdown(socket.SHUT_RDWR)

    with listening(hang_up) as port:
        said = outcome(f"https://{HOST}:{port}/")
    assert "it closed the connection; a firewall may have done so" in said


@pytest.mark.parametrize("message", ["\u201c*.evil\n\x1b.example\u201d is revoked", "x" * 10_000])
def test_what_a_systems_own_verifier_says_is_escaped_and_cut(message: str) -> None:
    error = ssl.SSLCertVerificationError(message)
    error.verify_code, error.verify_message = -67820, message
    for one in (error, ssl.SSLCertVerificationError(message)):
        said = why_tls(one)
        assert said.startswith("its certificate is refused: '")
        assert (said.isascii(), said.isprintable(), len(said) < 300) == (True, True, True)


def test_a_server_that_is_silent_has_the_one_deadline(authority: Authority) -> None:
    done = threading.Event()
    with listening(lambda connection: done.wait(PATIENCE) and None) as port:
        client = HttpClient(0.3)
        with pytest.raises(Unreachable, match="Timeout"):
            client.send(Request("GET", f"https://{HOST}:{port}/"))
        done.set()


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    content: bytes | None, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert "SSL_CERT_FILE cannot be used" in outcome(f"{scheme}://{HOST}:9/")


def test_an_address_without_tls_needs_no_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with LocalUserPool() as pool:
        assert '"keys"' in outcome(pool.jwks_url)


# In the log.


def port_of(pool: LocalUserPool) -> int:
    return int(pool.url.rpartition(":")[2])


def outages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def ask(shell: Shell, engine: Engine, cookie: str, handler: Any) -> Any:
    return shell.send(shell.middleware(shell.app(handler), engine), Ask(cookies=cookie))


def test_all_is_well_with_a_pool_on_https(
    shell: Shell, pool: LocalUserPool, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with fronted(port_of(pool), authority.issue(HOST)) as port:
        home = f"https://{HOST}:{port}"
        engine = Engine(pool.config(endpoint_url=home))
        cookie = f"amplify-session={pool.sign_in('ada').access_token}"
        got = ask(shell, engine, cookie, lambda: shell.verbs.fetch_user_attributes()["email"])
        engine.close()
    assert (got.body, outages(caplog)) == ("ada@example.com", [])


WHERE = {
    "keys": ({}, "/.well-known/jwks.json does not answer (TLS with 127.0.0.1 failed: "),
    "api": ({"keys": True}, "GetUser at "),
    "token endpoint": ({"keys": True, "refresh_api": "oauth"}, "token refresh at "),
}


@pytest.mark.parametrize("where", WHERE)
def test_the_outage_in_the_log_names_the_cause(
    where: str,
    shell: Shell,
    pool: LocalUserPool,
    stranger: Authority,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options, what = WHERE[where]
    given: dict[str, Any] = dict(options)
    if "keys" in given:
        given["keys"] = pool.jwks()
    tokens = pool.sign_in("ada")
    with fronted(port_of(pool), stranger.issue(HOST)) as port:
        home = f"https://{HOST}:{port}"
        config = pool.config(
            endpoint_url=home, domain=home, session=SealedSession(keys=KEYS[:1]), **given
        )
        engine = Engine(config)

        def act() -> str:
            shell.verbs.start_session(tokens)
            if where == "token endpoint":
                shell.verbs.fetch_auth_session(force_refresh=True)
            return str(shell.verbs.fetch_user_attributes())

        assert ask(shell, engine, None, act).status == 503  # type: ignore[arg-type]
        engine.close()
    [said] = outages(caplog)
    assert what in said
    assert "its certificate comes from an authority that this machine does not know" in said
    assert said.endswith("; sessions are kept meanwhile")


def test_a_sign_in_that_cannot_be_completed_is_told_with_the_cause(
    shell: Shell, pool: LocalUserPool, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    site = "http://localhost:8000"
    with fronted(port_of(pool), stranger.issue(HOST)) as port:
        home = f"https://{HOST}:{port}"
        routes = AuthRoutes(origin=site, keys=KEYS[:1])
        engine = Engine(pool.config(domain=home, keys=pool.jwks(), routes=routes))
        app = shell.middleware(shell.app(lambda: "hello"), engine)
        same = {**NAVIGATION, "Sec-Fetch-Site": "same-origin"}
        left = shell.send(app, Ask("/auth/sign-in", headers=same))
        leaving = str(left.one("location")).replace(home, pool.url)
        path, _, query = pool.authorize(leaving, "ada").removeprefix(site).partition("?")
        attempt = left.one("set-cookie").partition(";")[0]
        assert shell.send(app, Ask(path, query=query, cookies=attempt, headers=same)).status == 503
        engine.close()
    assert "its certificate comes from an authority that" in outages(caplog)[0]


def test_a_key_set_with_a_wrong_certificate_keeps_the_cookie(
    shell: Shell, pool: LocalUserPool, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with fronted(port_of(pool), authority.issue(HOST, begins=-DAY, ends=-HOUR)) as port:
        home = f"https://{HOST}:{port}"
        engine = Engine(pool.config(endpoint_url=home))
        cookie = f"amplify-session={pool.sign_in('ada').access_token}"
        got = ask(shell, engine, cookie, lambda: shell.verbs.get_current_user().username)
        engine.close()
    assert (got.status, got.all("set-cookie")) == (503, [])
    assert "certificate" not in got.body  # which is the operator's business
    assert "has expired, or this machine's clock is ahead" in outages(caplog)[0]
