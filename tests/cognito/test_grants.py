"""What a refresh token is good for, by hand over the flows."""

import json
from base64 import b64encode
from collections.abc import Generator
from typing import Any, cast
from urllib.parse import parse_qs

import pytest

from amplify_mw.cognito.api import Failure, Refreshed
from amplify_mw.cognito.grants import Grants, PoolApi
from amplify_mw.cognito.regions import Settling
from amplify_mw.cognito.verifier import VerifiedToken
from amplify_mw.effects import (
    Ask,
    Launch,
    Meanwhile,
    Outage,
    Pause,
    Report,
    Request,
    Response,
    Unreachable,
)
from amplify_mw.events import Revoked
from amplify_mw.sessions.store import Store

T = 1000.0
ENDPOINT = "https://pool.example/"
ISSUER = "https://issuer.example"
APIS = ["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]
OF_ADA = (ISSUER, "web", "0f3c")  # the pool, the app client and the user
RENEWAL = Ask(cast("Any", None), Store.renew, b"key", 1, 10.0)
RESULT = {"IdToken": "a.b.c", "AccessToken": "d.e.f"}
GOOD = {
    "oauth": Response(200, {}, b'{"id_token":"a.b.c","access_token":"d.e.f"}'),
    None: Response(200, {}, json.dumps({"AuthenticationResult": RESULT}).encode()),
}
DOWN = Unreachable("ConnectError")
SLOW = Response(429, {}, b"")
BROKEN = Response(503, {}, b"")

every_api = pytest.mark.parametrize("api", APIS)


def grants(api: str = APIS[0], secret: str | None = None, domain: bool = True) -> Grants:
    urls = (f"{ENDPOINT}oauth2/token", f"{ENDPOINT}oauth2/revoke") if domain else (None, None)
    made = PoolApi((ENDPOINT,), api, () if secret is None else (secret,), *urls)
    return Grants({ISSUER: made}, Settling())


def access(issuer: str = ISSUER, **claims: Any) -> VerifiedToken:
    return VerifiedToken(
        encoded=b"access.ada",
        claims=claims,
        issuer=issuer,
        pool=issuer,
        client="web",
        token_use="access",
        username="ada",
        sub="0f3c",
        expires_at=T + 60,
        fresh_until=T + 60,
        lifetime=3600,
    )


def refreshing(grants: Grants, now: float = T, **claims: Any) -> Generator[Any, Any, Any]:
    return grants.refresh(access(**claims), b"refresh-0", (3.0, RENEWAL), now)


def request_of(grants: Grants, **claims: Any) -> Request:
    """What Cognito is asked."""
    effect = next(refreshing(grants, **claims))
    assert isinstance(effect, Meanwhile)
    return effect.request


def land(
    flow: Generator[Any, Any, Any], got: Response | Unreachable, now: float = T
) -> tuple[Any, list[Outage]]:
    """What comes of a flow to which Cognito answers so each time, and what the operator is told."""
    told: list[Outage] = []
    try:
        effect = next(flow)
        while True:
            if isinstance(effect, Outage | Pause | Report):
                told += [effect] if isinstance(effect, Outage) else []
                effect = flow.send((None, now))
            elif isinstance(got, Unreachable):
                effect = flow.throw(got)
            else:
                effect = flow.send((got, now))
    except StopIteration as done:
        return done.value, told


def refresh(grants: Grants, got: Response | Unreachable, now: float = T) -> Any:
    (answer, _), _ = land(refreshing(grants, now), got, now)
    return answer


# --- what is asked


def body(request: Request) -> dict[str, Any]:
    if request.headers["content-type"] == "application/x-www-form-urlencoded":
        return {name: value for name, (value,) in parse_qs(request.content.decode()).items()}
    members: dict[str, Any] = json.loads(request.content)
    return members


def test_get_tokens_from_refresh_token_is_asked_by_default() -> None:
    request = request_of(grants())
    assert request.url == ENDPOINT
    assert request.headers["x-amz-target"].endswith(".GetTokensFromRefreshToken")
    assert body(request) == {"RefreshToken": "refresh-0", "ClientId": "web"}


def test_initiate_auth_is_asked_where_it_is_configured() -> None:
    request = request_of(grants("InitiateAuth"))
    assert request.headers["x-amz-target"].endswith(".InitiateAuth")
    assert body(request) == {
        "AuthFlow": "REFRESH_TOKEN_AUTH",
        "ClientId": "web",
        "AuthParameters": {"REFRESH_TOKEN": "refresh-0"},
    }


def test_the_token_endpoint_is_asked_where_it_is_configured() -> None:
    request = request_of(grants("oauth"))
    assert request.url == f"{ENDPOINT}oauth2/token"
    assert body(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-0",
        "client_id": "web",
    }


def test_a_client_with_a_secret_shows_it() -> None:
    assert body(request_of(grants(secret="s3")))["ClientSecret"] == "s3"
    assert "SECRET_HASH" in body(request_of(grants("InitiateAuth", "s3")))["AuthParameters"]
    basic = request_of(grants("oauth", "s3")).headers["authorization"]
    assert basic == "Basic " + b64encode(b"web:s3").decode()


def test_a_remembered_device_is_named() -> None:
    device = "eu-west-1_d"
    assert body(request_of(grants(), device_key=device))["DeviceKey"] == device
    parameters = body(request_of(grants("InitiateAuth"), device_key=device))["AuthParameters"]
    assert parameters["DEVICE_KEY"] == device


@pytest.mark.parametrize("junk", [1, None, [], {"a": 1}, True])
@every_api
def test_a_device_key_that_is_no_text_is_not_passed_on(api: str, junk: object) -> None:
    assert request_of(grants(api), device_key=junk) == request_of(grants(api))


@every_api
def test_the_lease_is_renewed_meanwhile(api: str) -> None:
    effect = next(refreshing(grants(api)))
    assert (effect.every, effect.ask) == (3.0, RENEWAL)


# --- what comes of it


@every_api
def test_new_tokens_are_passed_on(api: str) -> None:
    good = GOOD.get(api, GOOD[None])
    assert refresh(grants(api), good) == Refreshed(b"a.b.c", b"d.e.f", None)


@every_api
@pytest.mark.parametrize("got", [DOWN, SLOW, BROKEN, Response(200, {}, b"<html>")], ids=repr)
def test_no_other_api_is_asked_after_a_failure(api: str, got: Response | Unreachable) -> None:
    flow = refreshing(grants(api))
    asked = next(flow)
    told = flow.throw(got) if isinstance(got, Unreachable) else flow.send((got, T))
    assert isinstance(told, Outage)
    with pytest.raises(StopIteration) as done:
        flow.send((None, T))
    assert done.value.value[0].is_outage
    assert isinstance(asked, Meanwhile)


@every_api
@pytest.mark.parametrize("got", [DOWN, SLOW, BROKEN], ids=repr)
def test_after_an_outage_nobody_asks_for_a_while(api: str, got: Response | Unreachable) -> None:
    asking = grants(api)
    assert refresh(asking, got).retry_after == 1
    with pytest.raises(StopIteration) as done:
        next(refreshing(asking, T + 0.5))
    failure, now = done.value.value
    assert (failure.is_outage, failure.ends_session, now) == (True, False, T + 0.5)
    assert isinstance(next(refreshing(asking, T + 1)), Meanwhile)


def test_the_time_of_a_failure_is_passed_on() -> None:
    late = Unreachable("TimeoutException")
    late.now = T + 10
    (_, now), _ = land(refreshing(grants()), late)
    assert now == T + 10


def test_an_outage_is_told_once() -> None:
    asking = grants()
    told = [
        land(refreshing(asking, T + n * 60), got, T + n * 60)[1]
        for n, got in enumerate([DOWN, BROKEN, GOOD[None], GOOD[None]])
    ]
    assert [[outage.over for outage in each] for each in told] == [[False], [], [True], []]
    assert "refresh-0" not in repr(told)


def test_a_sign_in_that_is_over_makes_nobody_else_wait() -> None:
    asking = grants()
    over = Response(400, {}, b'{"__type":"NotAuthorizedException"}')
    failure = refresh(asking, over)
    assert isinstance(failure, Failure)
    assert failure.ends_session
    assert isinstance(next(refreshing(asking)), Meanwhile)


def test_a_rejected_client_ends_nobodys_session() -> None:
    blame = b'{"__type":"NotAuthorizedException","message":"Unable to verify secret hash"}'
    failure = refresh(grants(), Response(400, {}, blame))
    assert (failure.reason, failure.ends_session) == ("cognito_misconfigured", False)


# --- an end to the sign-in


def launched(flow: Generator[Any, Any, Any]) -> Any:
    """The flight that a flow launches and does not wait for."""
    effect = next(flow)
    assert isinstance(effect, Launch)
    with pytest.raises(StopIteration):
        flow.send((None, T))
    return effect.flight


@pytest.mark.parametrize("api", APIS[:2])
def test_a_revocation_is_launched_and_not_waited_for(api: str) -> None:
    flight = launched(grants(api).revoke(access(), b"refresh-0"))
    request = next(flight.flow(T))
    assert request.headers["x-amz-target"].endswith(".RevokeToken")
    assert body(request) == {"Token": "refresh-0", "ClientId": "web"}


def test_with_the_token_endpoint_the_revocation_endpoint_is_asked() -> None:
    request = next(launched(grants("oauth").revoke(access(), b"refresh-0")).flow(T))
    assert (request.url, body(request)["token"]) == (f"{ENDPOINT}oauth2/revoke", "refresh-0")


def test_signing_out_everywhere_is_launched_and_not_waited_for() -> None:
    request = next(launched(grants().sign_out_everywhere(access(), None)).flow(T))
    assert request.headers["x-amz-target"].endswith(".GlobalSignOut")
    assert body(request) == {"AccessToken": "access.ada"}


def test_the_refresh_token_is_revoked_once_everywhere_was_asked_for() -> None:
    flight = launched(grants().sign_out_everywhere(access(), b"refresh-0")).flow(T)
    next(flight)
    assert flight.send((GOOD[None], T)) == Report(Revoked(True, "", True, *OF_ADA))
    second = flight.send((None, T))
    assert body(second) == {"Token": "refresh-0", "ClientId": "web", **LINKED}


def test_a_revocation_that_failed_is_sent_twice_again() -> None:
    flow = launched(grants().revoke(access(), b"refresh-0")).flow(T)
    effects = [next(flow)]
    for _ in range(6):
        answer = (BROKEN, T) if isinstance(effects[-1], Request) else (None, T)
        effects.append(flow.send(answer))
    with pytest.raises(StopIteration):
        flow.send((None, T))
    assert [type(effect).__name__ for effect in effects] == [
        *("Request", "Outage", "Pause", "Request", "Pause", "Request", "Report"),
    ]
    assert effects[-1].event == Revoked(False, "cognito_unavailable", False, *OF_ADA)
    assert "copied" in effects[1].meanwhile


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (DOWN, "cognito_unavailable"),
        (SLOW, "throttled"),
        (BROKEN, "cognito_unavailable"),
        (GOOD[None], ""),
    ],
    ids=repr,
)
def test_a_revocation_lands_whatever_cognito_says(got: Response | Unreachable, reason: str) -> None:
    flight = launched(grants().revoke(access(), b"refresh-0")).flow(T)
    result, _ = land(flight, got)
    assert result == reason  # for its span


def test_a_throttled_revocation_does_not_hold_up_refreshes() -> None:
    asking = grants()
    land(launched(asking.revoke(access(), b"refresh-0")).flow(T), SLOW)
    assert isinstance(next(refreshing(asking)), Meanwhile)


def test_each_revocation_has_a_flight_of_its_own_and_none_shows_a_token() -> None:
    asking = grants()
    flights = [
        launched(flow)
        for flow in (
            asking.revoke(access(), b"refresh-0"),
            asking.revoke(access(), b"refresh-1"),
            asking.sign_out_everywhere(access(), b"refresh-2"),
        )
    ]
    assert len({flight.key for flight in flights}) == 3
    assert "refresh-0" not in repr(flights)


# --- the single sign-on session

LINKED = {"RevokeAssociatedSessions": "LINKED"}
UNKNOWN_MEMBER = [
    "SerializationException",
    "InvalidParameterException",
    "ValidationException",
    "UnknownParameter",
]


def refusal(code: str, message: str = "") -> Response:
    return Response(400, {}, json.dumps({"__type": code, "message": message}).encode())


def carried_out(
    flow: Generator[Any, Any, Any], *answers: Response | Unreachable
) -> tuple[list[dict[str, Any]], list[Any]]:
    """What a launched flight sends, to which Cognito answers so in turn, and what it tells."""
    flight, sent, told, left = launched(flow).flow(T), [], [], list(answers)
    effect = next(flight)
    try:
        while True:
            if not isinstance(effect, Request):
                told += [] if isinstance(effect, Pause) else [effect]
                effect = flight.send((None, T))
                continue
            sent.append(body(effect))
            answer = left.pop(0)
            failed = isinstance(answer, Unreachable)
            effect = flight.throw(answer) if failed else flight.send((answer, T))
    except StopIteration:
        assert not left
        return sent, told


def is_linked(sent: list[dict[str, Any]]) -> list[bool]:
    return ["RevokeAssociatedSessions" in members for members in sent]


@pytest.mark.parametrize("api", APIS[:2])
def test_a_sign_out_ends_the_single_sign_on_session_too(api: str) -> None:
    asking = grants(api, secret="hush")
    sent, told = carried_out(asking.sign_out(access(), b"refresh-0"), GOOD[None])
    client = {"ClientId": "web", "ClientSecret": "hush"}
    assert sent == [{"Token": "refresh-0", **client, **LINKED}]
    assert told == [Report(Revoked(True, "", False, *OF_ADA))]


def test_the_revocation_endpoint_knows_no_such_member() -> None:
    request = next(launched(grants("oauth").sign_out(access(), b"refresh-0")).flow(T))
    assert (request.url, body(request)["token"]) == (f"{ENDPOINT}oauth2/revoke", "refresh-0")
    assert b"LINKED" not in request.content


@pytest.mark.parametrize("code", UNKNOWN_MEMBER)
def test_an_endpoint_that_does_not_know_the_member_is_asked_without_it_from_then_on(
    code: str,
) -> None:
    asking = grants()
    sent, told = carried_out(asking.sign_out(access(), b"refresh-0"), refusal(code), GOOD[None])
    assert is_linked(sent) == [True, False]
    assert told == [Report(Revoked(True, "", False, *OF_ADA))]  # and no operator is called
    sent, _ = carried_out(asking.sign_out(access(), b"refresh-1"), GOOD[None])
    assert is_linked(sent) == [False]
    everywhere = asking.sign_out_everywhere(access(), b"refresh-2")
    sent, _ = carried_out(everywhere, GOOD[None], GOOD[None])
    assert is_linked(sent) == [False, False]


def test_another_endpoint_of_the_process_is_asked_with_it() -> None:
    there = "https://there.example/"
    pools = {
        ISSUER: PoolApi((ENDPOINT,), APIS[0], (), None, None),
        "https://other.example": PoolApi((there,), APIS[0], (), None, None),
    }
    asking = Grants(pools, Settling())
    carried_out(asking.sign_out(access(), b"r-0"), refusal("SerializationException"), GOOD[None])
    other = access("https://other.example")
    sent, _ = carried_out(asking.sign_out(other, b"r-1"), GOOD[None])
    assert is_linked(sent) == [True]


def test_amazons_own_is_asked_with_it_whatever_was_refused_once() -> None:
    """Perhaps a new secret, by one of its servers that did not know it yet."""
    pool = PoolApi((ENDPOINT,), APIS[0], ("s-new", "s-old"), None, None, is_amazons=True)
    asking = Grants({ISSUER: pool}, Settling())
    late = refusal("InvalidParameterException")
    sent, _ = carried_out(asking.sign_out(access(), b"refresh-0"), late, GOOD[None])
    assert is_linked(sent) == [True, False]
    sent, _ = carried_out(asking.sign_out(access(), b"refresh-1"), GOOD[None])
    assert is_linked(sent) == [True]


@pytest.mark.parametrize("code", UNKNOWN_MEMBER)
def test_a_refusal_with_and_without_the_member_is_of_something_else(code: str) -> None:
    asking = grants()
    sent, told = carried_out(
        asking.sign_out(access(), b"refresh-0"), refusal(code), refusal("UnauthorizedException")
    )
    assert is_linked(sent) == [True, False]
    assert told[-1] == Report(Revoked(False, "cognito_misconfigured", False, *OF_ADA))
    sent, _ = carried_out(asking.sign_out(access(), b"refresh-1"), GOOD[None])
    assert is_linked(sent) == [True]


@pytest.mark.parametrize(
    "answer",
    [
        refusal("UnauthorizedException"),
        refusal("UnsupportedOperationException"),
        refusal("UnsupportedTokenTypeException"),
        refusal("NotAuthorizedException", "Unable to verify secret hash for client web"),
        refusal("OperationNotEnabledException"),
        refusal("ForbiddenException"),
    ],
    ids=lambda answer: json.loads(answer.content)["__type"],
)
def test_any_other_refusal_is_not_asked_about_again(answer: Response) -> None:
    sent, _ = carried_out(grants().sign_out(access(), b"refresh-0"), answer)
    assert is_linked(sent) == [True]


@pytest.mark.parametrize("answer", [DOWN, SLOW, BROKEN], ids=repr)
def test_an_outage_is_no_reason_to_leave_the_session_alone(
    answer: Response | Unreachable,
) -> None:
    sent, _ = carried_out(grants().sign_out(access(), b"refresh-0"), answer, GOOD[None])
    assert is_linked(sent) == [True, True]


def test_an_outage_after_the_refusal_is_asked_about_again() -> None:
    odd = refusal("SerializationException")
    asking = grants().sign_out(access(), b"refresh-0")
    sent, told = carried_out(asking, odd, BROKEN, odd, GOOD[None])
    assert is_linked(sent) == [True, False, True, False]
    assert told[-1] == Report(Revoked(True, "", False, *OF_ADA))


def test_a_sign_out_is_not_lost_among_revocations_of_the_same_token() -> None:
    asking = grants()
    revocation = launched(asking.revoke(access(), b"refresh-0"))
    sign_out = launched(asking.sign_out(access(), b"refresh-0"))
    assert revocation.key != sign_out.key
    assert "refresh-0" not in repr(sign_out)


# --- who waits for what, and what is said of it

THERE = "https://other.example"


def two_pools(here: str, there: str) -> Grants:
    """Two pools of one Region, each with a domain of its own."""
    return Grants(
        {
            ISSUER: PoolApi((ENDPOINT,), here, (), "https://a.example/token", None),
            THERE: PoolApi((ENDPOINT,), there, (), "https://b.example/token", None),
        },
        Settling(),
    )


def asks(grants: Grants, issuer: str) -> bool:
    """Whether a refresh of a pool's session asks Cognito, and not the pause."""
    effect = next(grants.refresh(access(issuer), b"refresh-1", (3.0, RENEWAL), T), None)
    return isinstance(effect, Meanwhile)


def asks_after(grants: Grants, got: Response | Unreachable) -> bool:
    """Whether the other pool is asked when the first has answered so."""
    refresh(grants, got)
    return asks(grants, THERE)


def test_a_region_that_is_down_is_down_for_all_its_pools() -> None:
    assert not asks_after(two_pools(*APIS[:1] * 2), DOWN)


@pytest.mark.parametrize("there", APIS)
def test_a_domain_that_is_down_holds_up_no_other_pool(there: str) -> None:
    assert asks_after(two_pools("oauth", there), DOWN)


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "ForbiddenException"])
def test_a_pool_that_is_refused_holds_up_no_other_of_its_region(code: str) -> None:
    refusal = Response(400, {}, json.dumps({"__type": code}).encode())
    grants = two_pools(*APIS[:1] * 2)
    assert asks_after(grants, refusal)
    assert not asks(grants, ISSUER)


@pytest.mark.parametrize(
    ("api", "is_amazons", "got", "hinted"),
    [
        (APIS[0], False, BROKEN, True),
        (APIS[0], False, SLOW, False),
        (APIS[0], False, DOWN, False),
        (APIS[0], True, BROKEN, False),
        (APIS[1], False, BROKEN, False),
        (APIS[2], False, BROKEN, False),
    ],
)
def test_an_emulators_way_to_say_no_is_told_with_the_mend(
    api: str, is_amazons: bool, got: Response | Unreachable, hinted: bool
) -> None:
    pool = PoolApi((ENDPOINT,), api, (), f"{ENDPOINT}oauth2/token", None, is_amazons)
    _, (told,) = land(refreshing(Grants({ISSUER: pool}, Settling())), got)
    assert ('refresh_api="InitiateAuth"' in told.why) is hinted
