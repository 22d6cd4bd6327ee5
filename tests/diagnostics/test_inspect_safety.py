"""An inspection changes nothing, fetches nothing that the input names, and shows no secret."""

import base64
import json
from collections import Counter
from typing import Any, get_args

import pytest

from amplify_mw import AmplifyConfig, AmplifyCookies, AuthRoutes, SealedSession, StoredSession
from amplify_mw.diagnostics import inspect_credential
from amplify_mw.diagnostics.inspection.judging import _WITHHELD
from amplify_mw.diagnostics.inspection.looking import _READS
from amplify_mw.effects import Lane
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import LocalUserPool
from tests.shells import WSGIShell
from tests.sites import HOUR, KEYS, Clock


class CountingStore(MemoryStore):
    """Counts its calls by name."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if name in ("load", "reload", "of_user", "create", "replace", "delete", "acquire", "renew"):
            self.calls[name] += 1
        if name in ("release", "acquire_and_load", "replace_and_release", "end", "end_of_user"):
            self.calls[name] += 1
        return super().__getattribute__(name)


@pytest.fixture
def shell() -> WSGIShell:
    """One of them: other tests hold both to the same answers."""
    return WSGIShell()


@pytest.mark.parametrize("path", ["/", "/account", "/auth/sign-out", "/auth/sign-in"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["stored", "sealed"])
def test_nothing_is_written_and_nobody_is_asked(
    build: Any, clock: Clock, pool: LocalUserPool, kind: str, method: str, path: str
) -> None:
    store, heard = CountingStore(clock), list[object]()
    sealed = SealedSession(keys=KEYS[:1], coordinator=store)
    session = StoredSession(store) if kind == "stored" else sealed
    routes = AuthRoutes(origin="https://app.example.com", keys=KEYS[:1])
    site = build(session, protect=["/account"], routes=routes, on_event=heard.append)
    header = site.sign_in().header
    clock.advance(2 * HOUR)  # a refresh and an extension are due
    store.calls.clear()
    heard.clear()
    pool.requests.clear()
    entries = dict(store._entries)
    head = f"{method} {path} HTTP/1.1\nOrigin: https://app.example.com\nCookie: {header}"
    found = inspect_credential(head.encode(), site.engine)
    assert found.outcome in ("unknown", "signed_in", "refused")
    assert store.calls.keys() <= _READS
    assert store._entries == entries
    assert not heard
    assert not list(pool.requests)


def test_the_log_is_not_written(
    build: Any, caplog: pytest.LogCaptureFixture, pool: LocalUserPool
) -> None:
    site = build("token")
    caplog.set_level("DEBUG", logger="amplify_mw")
    token = pool.mint("ada", client_id="other")
    found = inspect_credential(f"amplify-session={token}".encode(), site.engine)
    assert found.reason == "wrong_client"
    assert "claims to be of app client 'other'" in found.notices[0]
    assert not caplog.records


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_only_the_pools_key_set_is_fetched(pool: LocalUserPool) -> None:
    """The token names other addresses in each way that a JWT can."""
    with LocalUserPool() as elsewhere:
        urls = {"jku": f"{elsewhere.url}/jwks", "x5u": elsewhere.url, "kid": elsewhere.url}
        for issuer in (elsewhere.config().user_pools[0].iss, pool.config().user_pools[0].iss):
            claims = {"iss": issuer, "token_use": "id", "aud": "x", "exp": 9e9}
            token = f"{encoded({'alg': 'RS256', **urls})}.{encoded(claims)}.AAAA"
            head = (
                f"GET {elsewhere.url}/a HTTP/1.1\nHost: {elsewhere.url}\nCookie: amplify-session="
            )
            pool.requests.clear()
            found = inspect_credential(f"{head}{token}".encode(), pool.config())
            assert found.outcome != "signed_in"
            assert not list(elsewhere.requests)
            assert all("jwks" in str(request) for request in pool.requests)


def test_offline_nothing_is_fetched(pool: LocalUserPool) -> None:
    token = pool.mint("ada").encode()
    pool.requests.clear()
    found = inspect_credential(token, pool.config(), offline=True)
    assert (found.outcome, found.reason, found.status) == ("unknown", "", None)
    assert found.why == "the pool's key set was not fetched (--offline)"
    assert not list(pool.requests)
    assert inspect_credential(token, pool.config()).outcome == "signed_in"
    assert list(pool.requests)


def test_each_step_that_is_left_out_has_its_words() -> None:
    assert _WITHHELD.keys() == {*get_args(Lane), "store", "network"}


def test_a_wrong_claim_is_told_even_without_the_key_set(pool: LocalUserPool) -> None:
    token = pool.mint("ada", client_id="other").encode()
    found = inspect_credential(token, pool.config(), offline=True)
    assert found.outcome == "unknown"
    assert "already wrong: aud" in str(found)


def test_a_file_that_is_not_there_is_not_made(pool: LocalUserPool, tmp_path: Any) -> None:
    path = tmp_path / "sessions.db"
    config = pool.config(session=StoredSession(SQLiteStore(path)))
    found = inspect_credential(b"A" * 43, config)
    assert (found.outcome, found.reason) == ("unknown", "store_unavailable")
    assert f"there is no file {path}, or it is empty" in {check.found for check in found.checks}
    assert not path.exists()
    path.touch()
    assert inspect_credential(b"A" * 43, config).reason == "store_unavailable"
    assert not path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]


def test_a_memory_of_another_process_is_not_taken_for_this_one(pool: LocalUserPool) -> None:
    config = pool.config(session=StoredSession(MemoryStore()))
    assert inspect_credential(b"A" * 43, config).outcome == "refused"
    found = inspect_credential(b"A" * 43, config, elsewhere=True)
    assert found.outcome == "unknown"
    assert "MemoryStore" in found.why


@pytest.fixture
def secrets(build: Any, pool: LocalUserPool) -> tuple[Any, str, set[str]]:
    """A site with a session, its cookies, and all that must not be shown."""
    site = build("sealed", "amplify")
    tokens = pool.sign_in("ada")
    browser = site.browser()
    browser.does(site.start(tokens))
    assert tokens.refresh_token is not None
    texts = {tokens.id_token, tokens.access_token, tokens.refresh_token, "ada@example.com", "ada"}
    parts = {part for token in list(texts) for part in token.split(".") if len(part) > 40}
    header: str = browser.header
    return site, header, texts | parts | set(browser.jar.values()) | {KEYS[0]}


@pytest.mark.parametrize("shape", ["{}", "Cookie: {}", "GET / HTTP/1.1\nCookie: {}"])
def test_no_secret_is_shown(secrets: Any, shape: str) -> None:
    site, header, hidden = secrets
    found = inspect_credential(shape.format(header).encode(), site.engine)
    assert found.outcome == "signed_in"
    for text in (str(found), json.dumps(found.to_dict()), repr(found)):
        assert not [secret for secret in hidden if secret in text]


def test_claims_are_shown_to_who_asks_and_tokens_never(secrets: Any) -> None:
    site, header, hidden = secrets
    found = inspect_credential(header.encode(), site.engine, show_claims=True)
    assert found.claims["id_token"]["email"] == "ada@example.com"
    text = str(found) + json.dumps(found.to_dict())
    assert '"email": "ada@example.com"' in text
    tokens = [secret for secret in hidden if len(secret) > 40]
    assert not [secret for secret in tokens if secret in text]


def test_claims_are_plain_json_without_tokens(pool: LocalUserPool) -> None:
    token = pool.mint("ada")
    deep: Any = 1
    for _ in range(150):
        deep = {"a": [deep]}
    made = {"custom:google": token, token: 1, "n": [{"x": token}], "deep": deep, "sub": "s"}
    text = json.dumps(made)[:-1] + ', "exp": 1e400, "iat": -1e400}'
    payload = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    data = f"{encoded({'alg': 'RS256'})}.{payload}.AAAA".encode()
    found = inspect_credential(data, show_claims=True)
    claims = found.to_dict()["claims"]["token"]
    assert claims["custom:google"] == claims["n"][0]["x"] == "(a token)"
    assert (claims["exp"], claims["iat"], claims["sub"]) == ("inf", "-inf", "s")
    assert "(nested deeper)" in json.dumps(claims, allow_nan=False)
    assert token not in str(found) + json.dumps(found.to_dict())
    assert "custom:google" not in repr(found)


def test_a_token_of_ones_own_is_not_shown_either(
    pool: LocalUserPool, config: AmplifyConfig
) -> None:
    for token in (pool.mint("ada"), pool.mint("ada", header={"kid": pool.mint("ada")})):
        text = str(inspect_credential(token.encode(), config, offline=True))
        assert token not in text
        assert "eyJ" not in text


def test_usernames_in_the_names_of_amplifys_cookies_are_not_shown(pool: LocalUserPool) -> None:
    prefix = f"CognitoIdentityServiceProvider.{pool.client_id}"
    header = f"{prefix}.LastAuthUser=grace.hopper; {prefix}.grace.hopper.accessToken=x"
    for config in (None, pool.config(), pool.config(session=AmplifyCookies())):
        text = str(inspect_credential(header.encode(), config, offline=True))
        assert "hopper" not in text
        assert "LastAuthUser" in text


def test_a_key_set_that_does_not_answer_makes_it_untold() -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        token, config = pool.mint("ada"), pool.config(protect=["/*"])
    for data in (token, f"GET /a HTTP/1.1\nCookie: amplify-session={token}"):
        found = inspect_credential(data.encode(), config)
        assert (found.outcome, found.reason, found.status) == ("unknown", "keys_unavailable", 503)
        assert "does not answer" in found.why
