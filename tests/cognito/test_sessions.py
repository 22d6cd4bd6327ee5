"""Cognito's own sessions: what is asked, how the answers are read, by hand over the flows."""

import json
import math
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito.api import Failure
from amplify_mw.cognito.pace import Paces
from amplify_mw.cognito.regions import Regions
from amplify_mw.cognito.sessions import (
    Holder,
    Page,
    ending,
    is_handle,
    listing,
    read_ended,
    read_page,
)
from amplify_mw.effects import Join, Outage, Rejection, Request, Response, Unreachable
from amplify_mw.models.cognito import CognitoSession

T = 1_800_000_000.0
ENDPOINT = "https://pool.example/"
ADA = Holder(b"a.b.c", "0f3c", "eu-west-1_Abc", (ENDPOINT,))
PAUSING = ("throttled", "cognito_unavailable", "cognito_misconfigured", "firewall_blocked")
TOKEN, OTHER, SSO = "tkn" + "0a1b2" * 5, "tkn" + "zzzzz" * 5, "sso" + "3c4d5" * 5
ENTRY = {
    "SessionId": TOKEN,
    "SessionType": "TOKEN",
    "ClientId": "web",
    "CreateDate": T - 60.5,
    "LastActiveDate": T - 1,
    "DeviceType": "Linux Firefox",
    "LastIPAddress": "192.0.2.7",
    "LastLocation": {"City": "Bath", "Country": "United Kingdom"},
    "OriginSessionId": SSO,
    "IsCurrentSession": True,
}
SESSION = CognitoSession(
    handle=TOKEN,
    kind="token",
    client_id="web",
    created_at=T - 60.5,
    seen_at=T - 1,
    device="Linux Firefox",
    ip_address="192.0.2.7",
    city="Bath",
    country="United Kingdom",
    origin=SSO,
    is_current=True,
)


def page(*entries: Any, **members: Any) -> Response:
    return Response(200, {}, json.dumps({"Sessions": entries, **members}).encode())


def refusal(code: str, message: str = "") -> Response:
    return Response(400, {}, json.dumps({"__type": code, "message": message}).encode())


DONE = Response(200, {}, b"{}")
DOWN, BROKEN, SLOW = Unreachable("ConnectError"), Response(503, {}, b""), Response(429, {}, b"")


def regions() -> Regions:
    return Regions(Paces("user sessions", PAUSING))


def fly(
    flow: Generator[Any, Any, Any], *answers: Response | Unreachable, at: float = T
) -> tuple[Any, list[Any]]:
    """What a flow comes to, and the members it sends or what it tells, flights included.

    `at`: the time of departures.
    """
    left, seen = list(answers), []

    def carry(flow: Generator[Any, Any, Any]) -> Any:
        advance, argument = flow.send, None
        while True:
            try:
                effect = advance(argument)
            except StopIteration as done:
                return done.value
            advance, value = flow.send, None
            if isinstance(effect, Join):
                value = carry(effect.flight.flow(at))
            elif isinstance(effect, Request):
                operation = effect.headers["x-amz-target"].rpartition(".")[2]
                seen.append((operation, json.loads(effect.content)))
                value = left.pop(0)
                if isinstance(value, Unreachable):
                    advance, argument = flow.throw, value
                    continue
            else:
                seen.append(effect)
            argument = (value, at)

    result = carry(flow)
    assert not left
    return result, seen


# --- what is asked


def test_the_list_is_asked_for_with_the_access_token() -> None:
    found, seen = fly(listing(regions(), ADA, T), page(ENTRY))
    assert seen == [("ListUserSessions", {"AccessToken": "a.b.c"})]
    assert found == {TOKEN: SESSION}


def test_an_end_takes_the_linked_sessions_along() -> None:
    failure, seen = fly(ending(regions(), ADA, OTHER, T), DONE)
    members = {"AccessToken": "a.b.c", "SessionId": OTHER, "RevokeAssociatedSessions": "LINKED"}
    assert (failure, seen) == (None, [("RevokeUserSession", members)])


def test_pages_are_followed_and_the_session_seen_last_comes_first() -> None:
    older = {**ENTRY, "SessionId": OTHER, "LastActiveDate": T - 100}
    sso = {**ENTRY, "SessionId": SSO, "LastActiveDate": T}
    found, seen = fly(listing(regions(), ADA, T), page(older, NextToken="2"), page(ENTRY, sso))
    assert [members.get("NextToken") for _, members in seen] == [None, "2"]
    assert list(found) == [SSO, TOKEN, OTHER]


def test_pages_without_an_end_come_to_an_end() -> None:
    pages = [page(ENTRY, NextToken=str(number)) for number in range(10)]
    found, seen = fly(listing(regions(), ADA, T), *pages)
    assert (list(found), len(seen)) == ([TOKEN], 10)


def test_a_page_that_leads_to_itself_is_the_last() -> None:
    found, seen = fly(listing(regions(), ADA, T), page(NextToken="2"), page(ENTRY, NextToken="2"))
    assert (list(found), len(seen)) == ([TOKEN], 2)


def test_a_page_that_fails_is_no_short_list() -> None:
    found, _ = fly(listing(regions(), ADA, T), page(ENTRY, NextToken="2"), BROKEN)
    assert isinstance(found, Failure)
    assert found.reason == "cognito_unavailable"


def test_each_user_and_each_session_has_a_flight_of_its_own_and_none_shows_a_token() -> None:
    grace = ADA._replace(access_token=b"d.e.f", sub="1a2b")
    flows = [
        *(listing(regions(), ADA, T), listing(regions(), grace, T)),
        *(ending(regions(), ADA, TOKEN, T), ending(regions(), ADA, OTHER, T)),
    ]
    flights = [next(flow).flight for flow in flows]
    assert len({flight.key for flight in flights}) == 4
    assert not any("a.b.c" in repr(shown) for shown in (*flights, ADA, flights[0].key))


# --- how answers are read


def test_an_address_is_in_no_repr() -> None:
    assert not any(part in repr(SESSION) for part in ("192.0.2.7", "Bath", "Kingdom"))
    assert "192.0.2.7" not in repr(Page((SESSION,), "next"))


@pytest.mark.parametrize(
    "name",
    [
        *("ClientId", "CreateDate", "LastActiveDate", "DeviceType", "LastIPAddress"),
        *("LastLocation", "OriginSessionId", "IsCurrentSession", "SessionType"),
    ],
)
@pytest.mark.parametrize("value", [None, [], {}, "", -1, True, math.inf, math.nan, 10**400])
def test_a_session_with_an_odd_member_is_still_listed(name: str, value: Any) -> None:
    found = read_page(page({**ENTRY, name: value}))
    assert isinstance(found, Page)
    [session] = found.sessions
    assert session.handle == TOKEN
    times = (session.created_at, session.seen_at)
    assert all(type(time) is float and math.isfinite(time) for time in times)
    assert isinstance(session.is_current, bool)


def test_a_session_of_which_little_is_known_is_listed() -> None:
    found = read_page(page({"SessionId": SSO, "LastLocation": {"City": None}}))
    assert isinstance(found, Page)
    assert found.sessions == (
        CognitoSession(SSO, "sso", "", 0.0, 0.0, "", "", "", "", None, is_current=False),
    )


@pytest.mark.parametrize(
    "entry", [{}, None, [], "x", {"SessionId": 1}, {"SessionId": TOKEN + "\n"}, {"SessionId": ""}]
)
def test_an_entry_without_a_usable_id_is_left_out(entry: Any) -> None:
    assert read_page(page(entry, ENTRY)) == Page((SESSION,))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>", b"[]", b"{}", b'{"Sessions": {}}', b"[" * 100_000),
        *(b'{"Sessions": [], "NextToken": 1}', b'{"Sessions": [], "NextToken": "a b"}'),
        b'{"Sessions": [], "NextToken": ""}',
    ],
)
def test_an_answer_that_is_no_list_is_not_cognitos(content: bytes) -> None:
    found = read_page(Response(200, {}, content))
    assert isinstance(found, Failure)
    assert found.is_outage


@given(st.binary(max_size=300), st.sampled_from([200, 400, 500]))
def test_no_bytes_raise(content: bytes, status: int) -> None:
    assert isinstance(read_page(Response(status, {}, content)), Page | Failure)
    assert isinstance(read_ended(Response(status, {}, content)), Failure | None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ENTRY]), inner),
    max_leaves=8,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*ENTRY]), JSON, max_size=3).map(lambda one: ENTRY | one),
        max_size=4,
    )
)
def test_no_members_raise(entries: list[Any]) -> None:
    found = read_page(page(*entries))
    assert isinstance(found, Page)
    for session in found.sessions:
        assert is_handle(session.handle)
        assert session.origin is None or is_handle(session.origin)
        assert math.isfinite(session.created_at + session.seen_at)


@given(st.text(alphabet="tkns0az\n A", max_size=40))
def test_a_handle_is_of_cognitos_form(text: str) -> None:
    assert not is_handle(text)
    assert not is_handle(TOKEN + text) or not text


def test_what_is_no_text_is_no_handle() -> None:
    assert not any(is_handle(one) for one in (None, 1, b"tkn", [TOKEN]))


# --- what is refused


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("InvalidParameterException", "Session tracking is not enabled", "cognito_misconfigured"),
        ("InvalidParameterException", "", "cognito_misconfigured"),
        ("OperationNotEnabledException", "", "cognito_misconfigured"),
        ("NotAuthorizedException", "Session tracking is off", "cognito_misconfigured"),
        ("UnknownOperationException", "", "cognito_misconfigured"),
        ("NotAuthorizedException", "Access Token has been revoked", "session_revoked"),
        ("NotAuthorizedException", "Access Token has expired", "token_expired"),
        ("NotAuthorizedException", "lacks required scopes", "missing_scope"),
        ("UserNotFoundException", "", "user_not_found"),
        ("UserNotConfirmedException", "", "user_not_confirmed"),
        ("PasswordResetRequiredException", "", "password_reset_required"),
        ("ForbiddenException", "", "firewall_blocked"),
        ("TooManyRequestsException", "", "throttled"),
        ("AnErrorOfTomorrowException", "", "cognito_error"),
    ],
)
def test_a_refused_list_says_why_and_ends_no_session(code: str, message: str, reason: str) -> None:
    found = read_page(refusal(code, message))
    assert isinstance(found, Failure)
    assert (found.reason, found.ends_session) == (reason, False)
    assert message not in str(found.exception()) or not message


@pytest.mark.parametrize("code", ["InvalidParameterException", "OperationNotEnabledException"])
def test_a_pool_that_tracks_no_sessions_is_told_once_with_the_remedy(code: str) -> None:
    asking = regions()
    found, seen = fly(listing(asking, ADA, T), refusal(code))
    told = seen[-1]
    assert isinstance(told, Rejection)
    assert (told.code, "session tracking on" in told.mend) == (code, True)
    assert "session tracking on" in found.exception().recovery_suggestion
    again, seen = fly(listing(asking, ADA, T))  # paused: nothing is asked
    assert (again.reason, seen) == ("cognito_misconfigured", [])


@pytest.mark.parametrize("got", [DOWN, BROKEN], ids=repr)
def test_an_outage_pauses_the_lists_of_all(got: Response | Unreachable) -> None:
    asking = regions()
    found, seen = fly(listing(asking, ADA, T), got)
    assert (found.reason, type(seen[-1])) == ("cognito_unavailable", Outage)
    grace = ADA._replace(access_token=b"d.e.f", sub="1a2b")
    found, seen = fly(ending(asking, grace, TOKEN, T + 0.5))
    assert (found.reason, seen) == ("cognito_unavailable", [])
    found, _ = fly(listing(asking, ADA, T + 60), page(ENTRY), at=T + 60)
    assert list(found) == [TOKEN]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ResourceNotFoundException", "session_revoked"),
        ("InvalidParameterException", "cognito_error"),
        ("NotAuthorizedException", "session_revoked"),
    ],
)
def test_an_end_that_cognito_refuses_pauses_nobody(code: str, reason: str) -> None:
    asking = regions()
    failure, _ = fly(ending(asking, ADA, TOKEN, T), refusal(code))
    assert (failure.reason, failure.code, failure.ends_session) == (reason, code, False)
    found, _ = fly(listing(asking, ADA, T), page(ENTRY))
    assert list(found) == [TOKEN]


def test_without_a_thread_the_list_cannot_be_had_now() -> None:
    for flow in (listing(regions(), ADA, T), ending(regions(), ADA, TOKEN, T)):
        next(flow)
        with pytest.raises(StopIteration) as done:
            flow.throw(Unreachable("no thread"))
        assert done.value.value.reason == "cognito_unavailable"
