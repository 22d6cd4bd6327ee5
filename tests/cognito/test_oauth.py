"""The token endpoint on the wire: what is sent, and what each kind of answer means."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote_plus

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito import api
from amplify_mw.cognito.api import AppClient, Failure, Refreshed
from amplify_mw.cognito.ending import revoke_token
from amplify_mw.cognito.oauth import read_failure, read_refreshed, refresh, revoke
from amplify_mw.effects import Request, Response
from amplify_mw.errors import NotAuthorizedException
from amplify_mw.testing import LocalUserPool
from tests.patience import PATIENCE

URL = "https://auth.example.com/oauth2/token"
PUBLIC, SECRET = AppClient("web"), AppClient("web", "s3cret")
TOKENS = {"id_token": "i.d.t", "access_token": "a.c.t", "refresh_token": "r.e.f"}


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def failure_of(response: Response) -> Failure:
    failure = read_refreshed(response)
    assert isinstance(failure, Failure)
    return failure


def form_of(request: Request) -> dict[str, list[str]]:
    assert (request.method, request.url) == ("POST", URL)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return parse_qs(request.content.decode("ascii"), strict_parsing=True)


def basic_of(request: Request) -> list[str]:
    scheme, _, pair = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    return [unquote_plus(part) for part in base64.b64decode(pair).decode("ascii").split(":")]


# --- the request


def test_a_client_without_a_secret_names_itself_in_the_form() -> None:
    request = refresh(URL, PUBLIC, b"r.t")
    assert form_of(request) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["r.t"],
        "client_id": ["web"],
    }
    assert "authorization" not in request.headers


def test_a_client_with_a_secret_authenticates_and_keeps_it_out_of_the_form() -> None:
    request = refresh(URL, SECRET, b"r.t")
    assert form_of(request) == {"grant_type": ["refresh_token"], "refresh_token": ["r.t"]}
    assert basic_of(request) == ["web", "s3cret"]


def test_an_ordinary_secret_is_sent_as_it_is() -> None:
    assert refresh(URL, SECRET, b"r.t").headers["authorization"] == "Basic d2ViOnMzY3JldA=="


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_id_and_secret_arrive(client_id: str, secret: str) -> None:
    assert basic_of(refresh(URL, AppClient(client_id, secret), b"r")) == [client_id, secret]


@pytest.mark.parametrize("client", [PUBLIC, SECRET], ids=["public", "secret"])
def test_a_refresh_token_is_revoked_by_its_client(client: AppClient) -> None:
    request = revoke(URL, client, b"r.t+/=")
    form = form_of(request)
    assert form.pop("token") == ["r.t+/="]
    assert form == ({"client_id": ["web"]} if client is PUBLIC else {})
    assert ("authorization" in request.headers) is (client is SECRET)


def test_only_a_refresh_is_waited_for_longer() -> None:
    assert refresh(URL, SECRET, b"r.t").patience == 2.0
    assert revoke(URL, SECRET, b"r.t").patience == 1.0


def test_a_request_shows_neither_token_nor_secret() -> None:
    shown = repr([refresh(URL, SECRET, b"r.t"), revoke(URL, SECRET, b"r.t")])
    assert "r.t" not in shown
    assert "s3cret" not in shown


# --- the answer


def test_rotation_gives_another_refresh_token() -> None:
    assert read_refreshed(answer(TOKENS)) == Refreshed(b"i.d.t", b"a.c.t", b"r.e.f")


@pytest.mark.parametrize("rest", [{}, {"refresh_token": None}])
def test_without_rotation_the_refresh_token_goes_on(rest: dict[str, None]) -> None:
    body = {"id_token": "i.d.t", "access_token": "a.c.t", "token_type": "Bearer", **rest}
    assert read_refreshed(answer(body)) == Refreshed(b"i.d.t", b"a.c.t", None)


@pytest.mark.parametrize("body", [None, [], 7, "x", {}, [TOKENS], {"error": "invalid_grant"}])
def test_a_success_that_is_not_the_endpoints_is_an_outage(body: Any) -> None:
    failure = failure_of(answer(body))
    assert (failure.reason, failure.ends_session) == ("cognito_unavailable", False)


@pytest.mark.parametrize(
    "body",
    [
        *(
            {**TOKENS, name: value}
            for name in TOKENS
            for value in ("", 7, ["x"], "a b", "é", "a\n")
        ),
        *({**TOKENS, name: None} for name in ("id_token", "access_token")),
    ],
    ids=lambda body: ascii(body)[:60],
)
def test_a_success_without_usable_tokens_is_no_outage(body: Any) -> None:
    failure = failure_of(answer(body))
    assert (failure.reason, failure.ends_session) == ("malformed_token", False)
    assert not failure.is_outage


def test_an_invalid_grant_ends_the_session() -> None:
    error = failure_of(answer({"error": "invalid_grant"}, 400))
    assert (error.error, error.reason) == (NotAuthorizedException, "session_revoked")
    assert error.ends_session


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("invalid_client", "cognito_misconfigured"),
        ("unauthorized_client", "cognito_misconfigured"),
        ("unsupported_grant_type", "cognito_misconfigured"),
        ("invalid_scope", "cognito_misconfigured"),
        ("invalid_request", "cognito_error"),  # it may be about what one user has sent
        ("unsupported_token_type", "cognito_error"),
        ("anything", "cognito_error"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_any_other_error_ends_no_session_and_has_its_mend(
    code: str, reason: str, status: int
) -> None:
    failure = failure_of(answer({"error": code, "error_description": "r.t"}, status))
    assert (failure.reason, failure.code, failure.ends_session) == (reason, code, False)
    assert failure.mend
    assert "r.t" not in str(vars(failure.exception()))


def test_a_refused_client_says_what_to_check() -> None:
    failure = failure_of(answer({"error": "invalid_client"}, 400))
    assert failure.exception().recovery_suggestion == "check client_id and client_secret"


def test_an_unknown_error_has_its_name_if_a_log_can_hold_it() -> None:
    named = failure_of(answer({"error": "unauthorized_client"}, 400)).exception()
    wild = failure_of(answer({"error": "a\r\nb: c"}, 400)).exception()
    assert (named.name, wild.name) == ("unauthorized_client", "UnknownError")


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "server_error"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_server_error_never_ends_the_session(code: str, status: int) -> None:
    failure = failure_of(answer({"error": code}, status))
    assert (failure.reason, failure.ends_session) == ("cognito_unavailable", False)


@pytest.mark.parametrize("code", ["server_error", "temporarily_unavailable"])
def test_what_a_proxy_says_of_an_outage_is_one(code: str) -> None:
    assert failure_of(answer({"error": code}, 400)).reason == "cognito_unavailable"


def test_status_429_is_throttling_whatever_it_says() -> None:
    failure = failure_of(answer({"error": "invalid_grant"}, 429))
    assert (failure.reason, failure.ends_session) == ("throttled", False)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>invalid_grant", b'{"error":["x"]}'])
@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404])
def test_an_answer_without_an_error_is_not_the_endpoints_word(status: int, body: bytes) -> None:
    failure = failure_of(Response(status, {}, body))
    assert (failure.reason, failure.ends_session) == ("cognito_unavailable", False)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_answer_has_a_meaning(status: int, body: bytes) -> None:
    assert not failure_of(Response(status, {}, body)).ends_session


def test_a_revocation_is_answered_by_its_status_alone() -> None:
    assert read_failure(Response(200, {}, b"")) is None
    assert read_failure(Response(503, {}, b"")) is not None


# --- every way to refresh and to revoke, at a pool

Refresh: TypeAlias = Callable[[LocalUserPool, AppClient, bytes], Refreshed | Failure]
Revocation: TypeAlias = Callable[[LocalUserPool, AppClient, bytes], Failure | None]


@pytest.fixture(params=[None, "s3:cr+t/="], ids=["public", "secret"])
def local(request: pytest.FixtureRequest) -> Iterator[LocalUserPool]:
    """A pool whose app client has no secret, or one that has to be encoded."""
    with LocalUserPool(client_secret=request.param) as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def client(local: LocalUserPool) -> AppClient:
    return AppClient(local.client_id, local.client_secret)


def send(request: Request) -> Response:
    got = httpx2.request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        trust_env=False,
        timeout=PATIENCE,
    )
    return Response(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content)


def refresh_by_api(pool: LocalUserPool, client: AppClient, token: bytes) -> Refreshed | Failure:
    request = api.get_tokens_from_refresh_token(f"{pool.url}/", client, token)
    return api.read_refreshed(send(request))


def refresh_by_initiate_auth(
    pool: LocalUserPool, client: AppClient, token: bytes
) -> Refreshed | Failure:
    request = api.initiate_auth_refresh(f"{pool.url}/", client, token, "ada")
    return api.read_refreshed(send(request))


def refresh_by_oauth(pool: LocalUserPool, client: AppClient, token: bytes) -> Refreshed | Failure:
    token_url = pool.config().user_pools[0].token_url
    assert token_url is not None
    return read_refreshed(send(refresh(token_url, client, token)))


def revoke_by_api(pool: LocalUserPool, client: AppClient, token: bytes) -> Failure | None:
    return api.read_failure(send(revoke_token(f"{pool.url}/", client, token)))


def revoke_by_oauth(pool: LocalUserPool, client: AppClient, token: bytes) -> Failure | None:
    revoke_url = pool.config().user_pools[0].revoke_url
    assert revoke_url is not None
    return read_failure(send(revoke(revoke_url, client, token)))


WAYS: list[Refresh] = [refresh_by_api, refresh_by_initiate_auth, refresh_by_oauth]


def refresh_token_of(pool: LocalUserPool) -> bytes:
    token = pool.sign_in("ada").refresh_token
    assert token is not None
    return token.encode("ascii")


@pytest.mark.parametrize("way", WAYS)
def test_a_pool_refreshes(local: LocalUserPool, client: AppClient, way: Refresh) -> None:
    outcome = way(local, client, refresh_token_of(local))
    assert isinstance(outcome, Refreshed)
    assert outcome.refresh_token is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", [None, "wrong"])
def test_a_deployment_without_the_right_secret_signs_nobody_out(way: Refresh, secret: Any) -> None:
    with LocalUserPool(client_secret="s3cret") as pool:
        pool.add_user("ada")
        failure = way(pool, AppClient(pool.client_id, secret), refresh_token_of(pool))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("cognito_misconfigured", False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("revocation", [revoke_by_api, revoke_by_oauth])
def test_a_revoked_sign_in_has_ended(
    local: LocalUserPool, client: AppClient, way: Refresh, revocation: Revocation
) -> None:
    token = refresh_token_of(local)
    assert revocation(local, client, token) is None
    failure = way(local, client, token)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("session_revoked", True)


@pytest.mark.parametrize(
    ("way", "reason"),
    [(refresh_by_api, "refresh_token_reused"), (refresh_by_oauth, "session_revoked")],
)
def test_a_used_refresh_token_is_told_from_a_revoked_one_by_the_api_alone(
    way: Refresh, reason: str
) -> None:
    with LocalUserPool(rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        token, client = refresh_token_of(pool), AppClient(pool.client_id)
        fresh = way(pool, client, token)
        again = way(pool, client, token)
    assert isinstance(fresh, Refreshed)
    assert fresh.refresh_token not in (None, token)
    assert isinstance(again, Failure)
    assert (again.reason, again.ends_session) == (reason, True)
