"""Cognito's own sessions, as a local pool tracks them: listed, ended, and evicted by its limit."""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from werkzeug.test import Client

from amplify_mw import end_session_by_handle, list_sessions
from amplify_mw.models.session import TokenSet
from amplify_mw.testing import LocalUserPool, StateError
from amplify_mw.testing.pool.region import RegionServer
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.testing.asking import (
    APP,
    Clock,
    asked,
    call,
    client,
    get_user,
    members,
    redeem,
    returned,
)
from tests.testing.test_srp import SRPClient

Tokens = TokenSet | dict[str, Any]
UNKNOWN = "tkn" + "q" * 25


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(track_sessions=True, max_sessions_per_user=3, clock=clock) as pool:
        pool.add_user("ada")
        pool.add_user("grace")
        yield pool


@pytest.fixture
def untracked(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock) as pool:
        pool.add_user("ada")
        yield pool


class BrowserAt:
    """A browser at the pool's pages, with its cookies."""

    def __init__(self, pool: RegionServer) -> None:
        self.pool = pool
        self.cookies: dict[str, str] = {}

    def sign_in(self, username: str | None = "ada") -> dict[str, Any]:
        """The tokens of a sign-in; `None`: nobody fills in a form."""
        back = self.pool.authorize(asked(self.pool), username, cookies=self.cookies)
        found: dict[str, Any] = redeem(self.pool, returned(back)["code"]).json()
        return found

    @property
    def is_asked(self) -> bool:
        """Whether the sign-in page asks for a password."""
        url = asked(self.pool, prompt="none")
        back = returned(self.pool.authorize(url, None, cookies=self.cookies))
        return back.get("error") == "login_required"


def access(tokens: Tokens) -> str:
    held = tokens["access_token"] if isinstance(tokens, dict) else tokens.access_token
    return str(held)


def refresh_token(tokens: Tokens) -> str:
    held = tokens["refresh_token"] if isinstance(tokens, dict) else tokens.refresh_token
    return str(held)


def listed(pool: RegionServer, tokens: Tokens) -> list[dict[str, Any]]:
    answer = call(pool, "ListUserSessions", AccessToken=access(tokens))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["Sessions"]
    return found


def own(pool: RegionServer, tokens: Tokens) -> dict[str, Any]:
    (found,) = [one for one in listed(pool, tokens) if one["IsCurrentSession"]]
    return found


def end(pool: RegionServer, tokens: Tokens, session_id: Any, **more: Any) -> httpx2.Response:
    body = {"AccessToken": access(tokens), "SessionId": session_id}
    return call(pool, "RevokeUserSession", **body, **more)


def refresh(pool: RegionServer, tokens: Tokens) -> httpx2.Response:
    body = {"ClientId": pool.client_id, "RefreshToken": refresh_token(tokens)}
    return call(pool, "GetTokensFromRefreshToken", **body)


def revoke(pool: RegionServer, tokens: Tokens, **more: Any) -> httpx2.Response:
    body = {"ClientId": pool.client_id, "Token": refresh_token(tokens)}
    return call(pool, "RevokeToken", **body, **more)


def error_of(response: httpx2.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["__type"])


def lives(pool: RegionServer, tokens: Tokens) -> bool:
    answers = {refresh(pool, tokens).status_code, get_user(pool, access(tokens)).status_code}
    assert len(answers) == 1
    return answers == {200}


# --- the list


def test_a_sign_in_is_a_token_session(pool: LocalUserPool, clock: Clock) -> None:
    tokens = pool.sign_in("ada")
    began = clock.now
    (only,) = listed(pool, tokens)
    assert re.fullmatch("tkn[a-z0-9]{25}", only.pop("SessionId"))
    assert only == {
        "SessionType": "TOKEN",
        "ClientId": pool.client_id,
        "CreateDate": began,
        "LastActiveDate": began,
        "DeviceType": "unknown",
        "LastIPAddress": "127.0.0.1",
        "LastLocation": {"Country": "unknown"},
        "IsCurrentSession": True,
    }


def test_a_sign_in_by_the_api_is_one_too(pool: LocalUserPool) -> None:
    tokens = SRPClient(pool).sign_in().json()["AuthenticationResult"]
    (only,) = listed(pool, {"access_token": tokens["AccessToken"]})
    assert "OriginSessionId" not in only


def test_only_the_users_own_are_listed_and_the_current_one_is_marked(pool: LocalUserPool) -> None:
    one, other, hers = pool.sign_in("ada"), pool.sign_in("ada"), pool.sign_in("grace")
    assert len(listed(pool, one)) == 2
    assert own(pool, one)["SessionId"] != own(pool, other)["SessionId"]
    assert [one["SessionId"] for one in listed(pool, hers)] == [own(pool, hers)["SessionId"]]


def test_a_refresh_is_activity_of_the_same_session(pool: LocalUserPool, clock: Clock) -> None:
    tokens = pool.sign_in("ada")
    before = own(pool, tokens)
    clock.now += 60
    with client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}) as http:
        headers = {
            "X-Amz-Target": "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken",
            "Content-Type": "application/x-amz-json-1.1",
        }
        body = {"ClientId": pool.client_id, "RefreshToken": tokens.refresh_token}
        http.post(pool.url, headers=headers, content=json.dumps(body))
    after = own(pool, tokens)
    assert (after["SessionId"], after["CreateDate"]) == (before["SessionId"], before["CreateDate"])
    assert (after["LastActiveDate"], after["DeviceType"]) == (clock.now, "Linux Firefox")


def test_a_browsers_sign_in_is_an_sso_session_and_the_origin_of_others(
    pool: LocalUserPool, clock: Clock
) -> None:
    browser = BrowserAt(pool)
    one = browser.sign_in()
    clock.now += 60
    other = browser.sign_in(None)  # silently
    found = {one["SessionType"]: one for one in listed(pool, scoped(pool, one))}
    sso = found["SSO"]
    assert re.fullmatch("sso[a-z0-9]{25}", sso["SessionId"])
    assert not sso["IsCurrentSession"]
    assert "OriginSessionId" not in sso
    assert (sso["CreateDate"], sso["LastActiveDate"]) == (clock.now - 60, clock.now)
    origins = [one.get("OriginSessionId") for one in listed(pool, scoped(pool, other))]
    assert sorted(map(str, origins)) == ["None", sso["SessionId"], sso["SessionId"]]


def scoped(pool: LocalUserPool, tokens: dict[str, Any]) -> dict[str, Any]:
    """The same sign-in, with the scope of self-service, which `asked` does not ask for."""
    claims = members(tokens["access_token"])
    claims["scope"] += " aws.cognito.signin.user.admin"
    return {**tokens, "access_token": pool.mint("ada", "access", claims=claims)}


def test_pages_hold_all_sessions_once(pool: LocalUserPool, clock: Clock) -> None:
    pool.session_page_size = 2
    tokens = [pool.sign_in("ada") for _ in range(3)]
    clock.now += 1
    seen: list[str] = []
    more: dict[str, str] = {}
    for expected in (2, 1):
        answer = call(pool, "ListUserSessions", AccessToken=tokens[0].access_token, **more).json()
        assert len(answer["Sessions"]) == expected
        seen += [one["SessionId"] for one in answer["Sessions"]]
        more = {"NextToken": answer.get("NextToken")}
        refresh(pool, tokens[1])  # activity moves nothing
    assert more == {"NextToken": None}
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "token", ["", "x", "[]", "!!", *(urlsafe_b64encode(c).decode() for c in (b"1", b"[1]", b"{}"))]
)
def test_a_bad_page_token_is_refused(pool: LocalUserPool, token: str) -> None:
    answer = call(
        pool, "ListUserSessions", AccessToken=access(pool.sign_in("ada")), NextToken=token
    )
    assert error_of(answer) == "InvalidParameterException"


@pytest.mark.parametrize("operation", ["ListUserSessions", "RevokeUserSession"])
def test_the_token_has_to_be_good_and_of_self_service(pool: LocalUserPool, operation: str) -> None:
    for token in ("x", pool.sign_in("ada", scope="openid").access_token):
        answer = call(pool, operation, AccessToken=token, SessionId=UNKNOWN)
        assert error_of(answer) == "NotAuthorizedException"
    assert error_of(call(pool, operation, SessionId=UNKNOWN)) == "InvalidParameterException"


def test_what_has_ended_or_expired_is_not_listed(pool: LocalUserPool, clock: Clock) -> None:
    browser = BrowserAt(pool)
    signed_in = scoped(pool, browser.sign_in())
    pool.sign_in("ada")
    revoke(pool, pool.sign_in("ada"))
    assert len(listed(pool, signed_in)) == 3
    clock.now += 3601  # the browser's hour
    assert [one["SessionType"] for one in listed(pool, pool.sign_in("ada"))] == ["TOKEN"] * 3
    clock.now += 30 * 24 * 3600
    assert len(listed(pool, pool.sign_in("ada"))) == 1


def test_a_minted_token_is_no_session(pool: LocalUserPool) -> None:
    for _ in range(5):
        pool.mint("ada", "access")
    assert len(listed(pool, pool.sign_in("ada"))) == 1


# --- ending one


def test_another_session_is_ended_with_its_tokens(pool: LocalUserPool) -> None:
    phone, laptop = pool.sign_in("ada"), pool.sign_in("ada")
    assert end(pool, laptop, own(pool, phone)["SessionId"]).json() == {}
    assert not lives(pool, phone)
    assert lives(pool, laptop)
    assert len(listed(pool, laptop)) == 1


def test_the_current_one_is_not(pool: LocalUserPool) -> None:
    tokens = pool.sign_in("ada")
    answer = end(pool, tokens, own(pool, tokens)["SessionId"])
    assert error_of(answer) == "InvalidParameterException"
    assert lives(pool, tokens)


def test_nor_is_one_of_somebody_else_or_of_nobody(pool: LocalUserPool) -> None:
    hers, tokens = pool.sign_in("grace"), pool.sign_in("ada")
    for session_id in (own(pool, hers)["SessionId"], UNKNOWN, UNKNOWN.replace("tkn", "sso")):
        assert error_of(end(pool, tokens, session_id)) == "ResourceNotFoundException"
    assert lives(pool, hers)


@pytest.mark.parametrize("session_id", ["", "tkn", "x" * 28, UNKNOWN.upper(), UNKNOWN + "q", None])
def test_an_id_of_another_form_is_refused(pool: LocalUserPool, session_id: Any) -> None:
    answer = end(pool, pool.sign_in("ada"), session_id)
    assert error_of(answer) == "InvalidParameterException"


@pytest.mark.parametrize("value", ["linked", "", 1, None])
def test_a_wrong_word_for_the_linked_is_refused(pool: LocalUserPool, value: Any) -> None:
    tokens = pool.sign_in("ada")
    for answer in (
        end(pool, tokens, UNKNOWN, RevokeAssociatedSessions=value),
        revoke(pool, tokens, RevokeAssociatedSessions=value),
    ):
        assert error_of(answer) == "InvalidParameterException"
    assert lives(pool, tokens)


@pytest.mark.parametrize(("word", "is_asked"), [("NONE", False), ("LINKED", True)])
def test_linked_takes_along_the_sso_session_of_a_token_session(
    pool: LocalUserPool, word: str, is_asked: bool
) -> None:
    browser, caller = BrowserAt(pool), pool.sign_in("ada")
    target, sibling = browser.sign_in(), browser.sign_in(None)
    handle = own(pool, scoped(pool, target))["SessionId"]
    end(pool, caller, handle, RevokeAssociatedSessions=word)
    assert refresh(pool, target).status_code == 400
    assert refresh(pool, sibling).status_code == 200
    assert browser.is_asked == is_asked


@pytest.mark.parametrize(("word", "status"), [("NONE", 200), ("LINKED", 400)])
def test_linked_takes_along_the_token_sessions_of_an_sso_session(
    pool: LocalUserPool, word: str, status: int
) -> None:
    browser, caller = BrowserAt(pool), pool.sign_in("ada")
    through = [browser.sign_in(), browser.sign_in(None)]
    (sso,) = [one for one in listed(pool, caller) if one["SessionType"] == "SSO"]
    end(pool, caller, sso["SessionId"], RevokeAssociatedSessions=word)
    assert browser.is_asked
    assert {refresh(pool, one).status_code for one in through} == {status}
    assert lives(pool, caller)


# --- revoking a refresh token


@pytest.mark.parametrize(
    ("more", "is_asked"),
    [
        ({}, False),
        ({"RevokeAssociatedSessions": "NONE"}, False),
        ({"RevokeAssociatedSessions": "LINKED"}, True),
    ],
)
def test_revoking_a_token_may_end_the_browsers_sign_in(
    pool: LocalUserPool, more: dict[str, str], is_asked: bool
) -> None:
    browser = BrowserAt(pool)
    target, sibling = browser.sign_in(), browser.sign_in(None)
    assert revoke(pool, target, **more).status_code == 200
    assert refresh(pool, target).status_code == 400
    assert refresh(pool, sibling).status_code == 200
    assert browser.is_asked == is_asked


def test_without_a_browser_linked_ends_the_sign_in_alone(pool: LocalUserPool) -> None:
    browser, tokens = BrowserAt(pool), pool.sign_in("ada")
    browser.sign_in()
    assert revoke(pool, tokens, RevokeAssociatedSessions="LINKED").status_code == 200
    assert not browser.is_asked


def test_a_global_sign_out_leaves_the_browser_signed_in(pool: LocalUserPool) -> None:
    browser, caller = BrowserAt(pool), pool.sign_in("ada")
    browser.sign_in()
    call(pool, "GlobalSignOut", AccessToken=caller.access_token)
    assert not browser.is_asked
    kinds = [one["SessionType"] for one in listed(pool, pool.sign_in("ada"))]
    assert sorted(kinds) == ["SSO", "TOKEN"]


def test_the_logout_page_ends_the_sso_session(pool: LocalUserPool) -> None:
    browser = BrowserAt(pool)
    tokens = scoped(pool, browser.sign_in())
    with client(cookies=browser.cookies) as http:
        http.get(f"{pool.url}/logout", params={"client_id": pool.client_id, "logout_uri": APP})
    assert [one["SessionType"] for one in listed(pool, tokens)] == ["TOKEN"]


# --- the limit


def test_the_next_sign_in_evicts_the_session_used_longest_ago(
    pool: LocalUserPool, clock: Clock
) -> None:
    tokens = []
    for _ in range(3):
        tokens.append(pool.sign_in("ada"))
        clock.now += 1
    hers = pool.sign_in("grace")
    refresh(pool, tokens[0])  # now the second one is
    new = pool.sign_in("ada")
    assert [lives(pool, one) for one in tokens] == [True, False, True]
    assert lives(pool, new)
    assert lives(pool, hers)
    assert len(listed(pool, new)) == 3
    said = refresh(pool, tokens[1]).json()
    assert said["message"] == "Refresh Token has been revoked"


def test_a_lower_limit_counts_from_the_next_sign_in(tmp_path: Path, clock: Clock) -> None:
    options: dict[str, Any] = {"track_sessions": True, "state": tmp_path / "pool.json"}
    options |= {"issuer_type": "ORIGINAL"}  # at any port
    with LocalUserPool(max_sessions_per_user=5, clock=clock, **options) as pool:
        pool.add_user("ada")
        tokens = [pool.sign_in("ada") for _ in range(5)]
    with LocalUserPool(max_sessions_per_user=2, clock=clock, **options) as pool:
        assert all(lives(pool, one) for one in tokens)
        clock.now += 1
        new = pool.sign_in("ada")
        assert len(listed(pool, new)) == 2
        assert [lives(pool, one) for one in tokens].count(True) == 1


def test_sso_sessions_do_not_count(pool: LocalUserPool) -> None:
    tokens = [pool.sign_in("ada") for _ in range(2)]
    BrowserAt(pool).sign_in()
    assert len(listed(pool, tokens[0])) == 4
    assert all(lives(pool, one) for one in tokens)


@pytest.mark.parametrize("most", [0, 101, -1, 1.5])
def test_the_limit_is_cognitos(most: Any) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 100; got {most}"):
        LocalUserPool(max_sessions_per_user=most)


# --- without tracking


def test_without_tracking_there_is_no_list(untracked: LocalUserPool) -> None:
    tokens = untracked.sign_in("ada")
    answers = [
        call(untracked, "ListUserSessions", AccessToken=tokens.access_token),
        end(untracked, tokens, UNKNOWN),
    ]
    for answer in answers:
        assert error_of(answer) == "OperationNotEnabledException"
        assert "tracking" in answer.json()["message"]


def test_without_tracking_linked_has_no_effect(untracked: LocalUserPool) -> None:
    browser = BrowserAt(untracked)
    tokens = browser.sign_in()
    answer = revoke(untracked, tokens, RevokeAssociatedSessions="LINKED")
    assert answer.status_code == 200
    assert refresh(untracked, tokens).status_code == 400
    assert not browser.is_asked


def test_without_tracking_nobody_is_evicted(untracked: LocalUserPool) -> None:
    tokens = [untracked.sign_in("ada") for _ in range(21)]
    assert lives(untracked, tokens[0])


# --- the library itself


@pytest.fixture
def today() -> Iterator[LocalUserPool]:
    """A pool with the clock of this machine, for an app that has no other."""
    with LocalUserPool(track_sessions=True) as pool:
        pool.add_user("ada")
        yield pool


def test_an_app_lists_its_users_sessions_and_ends_another(today: LocalUserPool) -> None:
    pool = today
    tokens, other = pool.sign_in("ada"), pool.sign_in("ada")
    handle = own(pool, other)["SessionId"]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        before = {one.handle: one.is_current for one in list_sessions(source="cognito")}
        ended = end_session_by_handle(handle, source="cognito")
        after = [one.handle for one in list_sessions(source="cognito")]
        start_response("200 OK", [])
        return [json.dumps([before, ended, after]).encode()]

    browser = Client(AmplifyWSGIMiddleware(app, pool.config()))
    browser.set_cookie("amplify-session", str(tokens.access_token))
    current = own(pool, tokens)["SessionId"]
    before, ended, after = json.loads(browser.get("/").text)
    assert before == {current: True, handle: False}
    assert (ended, after) == (True, [current])
    assert not lives(pool, other)


# --- a replica, and the state file


def test_a_replica_has_the_same_sessions(pool: LocalUserPool) -> None:
    with pool.replica("us-west-2") as west:
        one, other = pool.sign_in("ada"), pool.sign_in("ada")
        assert listed(west, one) == listed(pool, one)
        assert end(west, one, own(pool, other)["SessionId"]).status_code == 200
        assert not lives(pool, other)


def test_sessions_outlive_the_pool(tmp_path: Path, clock: Clock) -> None:
    options: dict[str, Any] = {"state": tmp_path / "pool.json", "clock": clock}
    options |= {"issuer_type": "ORIGINAL"}  # at any port
    with LocalUserPool(track_sessions=True, **options) as pool:
        pool.add_user("ada")
        browser, caller = BrowserAt(pool), pool.sign_in("ada")
        tokens = browser.sign_in()
        before = listed(pool, caller)
        assert len(before) == 3
    with LocalUserPool(track_sessions=True, **options) as pool:
        assert listed(pool, caller) == before
        browser.pool = pool
        revoke(pool, tokens, RevokeAssociatedSessions="LINKED")
        assert browser.is_asked
        assert len(listed(pool, caller)) == 1
    with LocalUserPool(**options) as pool:  # which tracks none, and forgets them
        assert lives(pool, caller)
    with LocalUserPool(track_sessions=True, **options) as pool:
        assert listed(pool, caller) == []
        assert len(listed(pool, pool.sign_in("ada"))) == 1


@pytest.mark.parametrize("damage", ["?", {"tokens": {"x": {}}}, {"tokens": {"x": "?"}}])
def test_damaged_sessions_are_a_damaged_file(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "pool.json"
    LocalUserPool(track_sessions=True, state=path).close()
    state = json.loads(path.read_text())
    state["sessions"] = damage
    path.write_text(json.dumps(state))
    with pytest.raises(StateError, match="damaged"):
        LocalUserPool(track_sessions=True, state=path)
