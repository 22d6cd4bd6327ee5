"""Machines: tokens of client credentials, which name no user. Behind both shells."""

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplify_mw import (
    AuthError,
    ConfigurationError,
    Machine,
    NotAuthorizedException,
    ServerAuthManager,
    StoredSession,
    aio,
    events,
    fetch_auth_session,
    fetch_user_attributes,
    get_current_principal,
    get_current_user,
    handle_server_auth,
    list_sessions,
    require_auth,
    user_or_none,
)
from amplify_mw.sessions.verdicts import KnownMachine
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool, signed_in, signed_in_machine, signed_out
from tests.shells import AppAnswer, ASGIShell, Shell
from tests.sites import HOUR, Build, Clock
from tests.test_bearer import BARE, Api, problem

WRITE = "orders/write"
Make = Callable[..., Api]


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def api(shell: Shell, pool: LocalUserPool) -> Make:
    def api(handler: Any, **options: Any) -> Api:
        return Api(shell, pool, handler, **options)

    return api


def machine_token(pool: LocalUserPool, scope: str | None = WRITE, **claims: Any) -> str:
    """A token as Cognito makes one for client credentials."""
    own = {"sub": pool.client_id, "username": None, "scope": scope, "cognito:groups": None}
    own |= {"origin_jti": None, "event_id": None}
    return pool.mint("ada", "access", claims={**own, **claims})


def header(pool: LocalUserPool, *facts: Any, **claims: Any) -> str:
    return "Bearer " + machine_token(pool, *facts, **claims)


def principal() -> str:
    found = get_current_principal()
    if isinstance(found, Machine):
        return f"machine {found.client_id} {sorted(found.scopes)}"
    return f"user {found.username}"


def outcome(action: Callable[[], object]) -> str:
    try:
        return str(action())
    except AuthError as error:
        return f"{type(error).__name__} {error.reason} {error.status_code}"


NOT_A_PERSON = "NotAuthorizedException not_a_person 403"


class TestPrincipal:
    def test_it_is_a_machine_with_its_scopes_at_first_sight_and_again(
        self, api: Make, pool: LocalUserPool
    ) -> None:
        site = api(principal)
        sent = header(pool, "orders/write orders/read")
        said = f"machine {pool.client_id} ['orders/read', 'orders/write']"
        assert [site.ask(sent).body for _ in range(2)] == [said, said]

    def test_it_is_a_user_by_header_and_by_cookie(self, api: Make, pool: LocalUserPool) -> None:
        site = api(principal)
        assert site.by().body == "user ada"
        assert site.ask(cookie=pool.mint("ada")).body == "user ada"

    def test_nobody_is_neither(self, api: Make) -> None:
        site = api(lambda: outcome(principal))
        assert site.ask().body == "NotAuthorizedException no_session 401"
        assert site.ask("Bearer a b").body == "InvalidRequestException malformed_header 400"

    def test_awaited_it_is_the_same(self, pool: LocalUserPool) -> None:
        said: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            said.append(await aio.get_current_principal())
            with pytest.raises(NotAuthorizedException):
                await aio.get_current_user()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        site = Api(ASGIShell(), pool)
        site.app = ASGIShell.middleware(app, site.engine)
        site.ask(header(pool))
        assert said == [Machine(pool.client_id, frozenset({WRITE}))]

    def test_outside_a_request_it_raises(self) -> None:
        with pytest.raises(RuntimeError):
            get_current_principal()

    def test_a_pinned_user_is_a_user(self) -> None:
        with signed_in("grace"):
            assert principal() == "user grace"
        with signed_out(), pytest.raises(NotAuthorizedException):
            get_current_principal()

    @pytest.mark.parametrize("scope", [None, "", 7, ["orders/write"]])
    def test_without_scopes_it_has_none(self, api: Make, pool: LocalUserPool, scope: Any) -> None:
        assert api(principal).ask(header(pool, scope)).body == f"machine {pool.client_id} []"

    def test_a_machine_is_a_value(self) -> None:
        one = Machine("job", frozenset({"a"}))
        assert one == Machine("job", frozenset({"a"})) == copy.deepcopy(one)
        assert pickle.loads(pickle.dumps(one)) == one
        assert hash(one) == hash(copy.copy(one))


class TestInTests:
    def test_a_machine_is_pinned_and_wins(self, api: Make, pool: LocalUserPool) -> None:
        guarded = require_auth(machines=True, scopes=[WRITE])(principal)
        site = api(guarded)
        with signed_in_machine("job", scopes=[WRITE]) as machine:
            assert machine == Machine("job", frozenset({WRITE}))
            for sent in (None, "Bearer junk", header(pool)):
                assert site.ask(sent).body == "machine job ['orders/write']"
            assert user_or_none() is None
            with pytest.raises(NotAuthorizedException):
                get_current_user()
        assert site.ask().status == 401

    def test_its_scopes_are_a_list(self) -> None:
        with (
            pytest.raises(TypeError, match="signed_in_machine"),
            signed_in_machine("a", scopes="b"),
        ):
            pass


class TestNoPerson:
    @pytest.mark.parametrize(
        "verb",
        [
            get_current_user,
            fetch_user_attributes,
            lambda: fetch_auth_session(required=True),
            lambda: fetch_auth_session(force_refresh=True),
            list_sessions,
            require_auth(lambda: "in"),
            require_auth(scopes=[WRITE])(lambda: "in"),
            require_auth(groups=["editors"])(lambda: "in"),
            ServerAuthManager().require_authentication,
        ],
    )
    def test_a_function_for_people_raises(
        self, shell: Shell, pool: LocalUserPool, verb: Any
    ) -> None:
        site = Api(shell, pool, lambda: outcome(verb), session=StoredSession(MemoryStore()))
        if isinstance(shell, ASGIShell):
            site.ask(header(pool))
        for _ in range(2):
            assert site.ask(header(pool)).body == NOT_A_PERSON
        assert pool.count("GetUser") == 0

    def test_user_or_none_is_none(self, api: Make, pool: LocalUserPool) -> None:
        site = api(lambda: str(user_or_none()))
        assert site.ask(header(pool)).body == "None"
        assert site.heard == []

    def test_an_optional_session_is_empty(self, api: Make, pool: LocalUserPool) -> None:
        assert api(lambda: str(fetch_auth_session().tokens)).ask(header(pool)).body == "None"

    def test_the_server_api_says_no(self, api: Make, pool: LocalUserPool) -> None:
        said = json.loads(api(lambda: json.dumps(handle_server_auth())).ask(header(pool)).body)
        assert said == {"success": False, "error": "User not authenticated", "status_code": 403}

    def test_a_protected_path_refuses_it_without_a_challenge(
        self, api: Make, pool: LocalUserPool
    ) -> None:
        got = api(principal, protect=["/*"]).ask(header(pool))
        assert (got.status, got.one("www-authenticate")) == (403, None)
        assert "not_a_person" not in got.body
        assert problem(got)["status"] == 403

    def test_what_an_app_read_otherwise_is_withheld(self, api: Make, pool: LocalUserPool) -> None:
        site = api(principal, protect=["/secret"], public=[])
        assert site.ask(header(pool), path="/open").body.startswith("machine ")

    @pytest.mark.parametrize("kind", ["token", "sealed", "memory", "amplify"])
    def test_a_cookie_lets_no_machine_in(self, build: Build, kind: str, clock: Clock) -> None:
        with LocalUserPool(clock=clock) as pool:
            pool.add_user("ada")
            site = build(kind, bearer=True, pool=pool)
            token = machine_token(pool)
            assert site.browser().does(principal, headers={"Authorization": "Bearer " + token})
            name = "amplify-session"
            got = site.browser({name: token}).does(lambda: outcome(principal))
            assert not got.body.startswith("machine")

    def test_a_cookie_with_one_is_cleared_as_ever(self, api: Make, pool: LocalUserPool) -> None:
        site = api(lambda: outcome(principal))
        assert site.ask(header(pool)).body
        got = site.ask(cookie=machine_token(pool))
        assert got.body == "NotAuthorizedException missing_claim 401"
        assert got.clears_cookie

    def test_no_session_starts_with_one(self, build: Build, clock: Clock) -> None:
        with LocalUserPool(clock=clock) as pool:
            pool.add_user("ada")
            site = build("memory", pool=pool)
            tokens = {"id_token": pool.mint("ada"), "access_token": machine_token(pool)}
            got = site.browser().does(site.start(tokens))
            assert got.body == "NotAuthorizedException missing_claim"

    def test_beside_somebodys_cookie_it_is_refused(self, api: Make, pool: LocalUserPool) -> None:
        site = api(lambda: outcome(principal))
        for _ in range(2):
            got = site.ask(header(pool), cookie=pool.mint("ada"))
            assert got.body == "InvalidRequestException different_credentials 400"
            assert got.all("set-cookie") == []

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": "somebody"},
            {"sub": None},
            {"username": ""},
            {"username": 7},
            {"token_use": "id", "aud": "local-client"},
        ],
    )
    def test_a_token_of_another_shape_is_neither(
        self, api: Make, pool: LocalUserPool, claims: dict[str, Any]
    ) -> None:
        said = api(lambda: outcome(principal)).ask(header(pool, **claims)).body
        assert said in (
            "NotAuthorizedException missing_claim 401",
            "NotAuthorizedException wrong_token_use 401",
        )

    def test_another_clients_machine_is_refused(self, api: Make, pool: LocalUserPool) -> None:
        token = header(pool, sub="other", client_id="other")
        said = api(lambda: outcome(principal)).ask(token).body
        assert said == "NotAuthorizedException wrong_client 401"


class TestGuard:
    def test_it_lets_machines_and_users_with_the_scopes_in(
        self, api: Make, pool: LocalUserPool
    ) -> None:
        guard = require_auth(machines=True, scopes=[WRITE])
        site = api(guard(principal))
        assert site.ask(header(pool)).body.startswith("machine ")
        user = pool.mint("ada", "access", claims={"scope": WRITE})
        assert site.ask("Bearer " + user).body == "user ada"
        for refused in (header(pool, "orders/read"), "Bearer " + pool.mint("ada", "access")):
            got = site.ask(refused)
            said = f'{BARE}, error="insufficient_scope", scope="orders/write"'
            assert (got.status, got.one("www-authenticate")) == (403, said)

    def test_without_a_credential_it_is_401(self, api: Make) -> None:
        assert api(require_auth(machines=True)(principal)).ask().status == 401

    def test_coroutines_are_guarded_too(self, pool: LocalUserPool) -> None:
        @require_auth(machines=True)
        async def guarded() -> str:
            return principal()

        @require_auth
        async def for_people() -> str:
            return principal()

        said: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            said.append(await guarded())
            with pytest.raises(NotAuthorizedException):
                await for_people()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        site = Api(ASGIShell(), pool)
        site.app = ASGIShell.middleware(app, site.engine)
        site.ask(header(pool))
        assert len(said) == 1

    def test_machines_with_groups_are_a_mistake(self) -> None:
        with pytest.raises(ConfigurationError, match="machines are in no group"):
            require_auth(machines=True, groups=["editors"])

    def test_answers_to_machines_are_private(self, api: Make, pool: LocalUserPool) -> None:
        got = api(principal).ask(header(pool))
        assert (got.one("cache-control"), got.one("vary")) == ("private", "Authorization")
        got = api(require_auth(machines=True)(principal)).ask(header(pool))
        assert got.one("cache-control") == "no-store"

    def test_a_late_one_has_expired(self, build: Build, clock: Clock) -> None:
        with LocalUserPool(clock=clock) as pool:
            pool.add_user("ada")
            site = build("token", bearer=True, pool=pool)
            said: list[str] = []
            guarded = require_auth(machines=True)(principal)

            def handler() -> AppAnswer:
                def late() -> None:
                    said.append(outcome(guarded))
                    clock.advance(2 * HOUR)
                    said.extend([outcome(guarded), outcome(principal)])

                return AppAnswer(later={"streaming": late})

            site.browser().ask(handler, headers={"Authorization": header(pool)})
            expired = "TokenExpiredException token_expired 401"
            assert said[1:] == [expired, expired]
            assert said[0].startswith("machine ")


class TestKept:
    def test_an_expired_machine_is_not_believed(self, build: Build, clock: Clock) -> None:
        with LocalUserPool(clock=clock) as pool:
            pool.add_user("ada")
            site = build("token", bearer=True, pool=pool)
            headers = {"Authorization": header(pool)}
            assert site.browser().does(principal, headers=headers).body.startswith("machine ")
            clock.advance(2 * HOUR)
            said = site.browser().does(lambda: outcome(principal), headers=headers).body
            assert said == "TokenExpiredException token_expired 401"

    @pytest.mark.parametrize("kind", ["memory", "amplify", "sealed"])
    def test_sessions_end_beside_a_cached_machine(
        self, build: Build, kind: str, clock: Clock
    ) -> None:
        with LocalUserPool(clock=clock) as pool:
            pool.add_user("ada")
            site = build(kind, bearer=True, pool=pool)
            headers = {"Authorization": header(pool)}
            assert site.browser().does(principal, headers=headers).body.startswith("machine ")
            browser = site.sign_in()
            assert browser.does(site.end(everywhere=True)).status == 200
            assert site.browser().does(principal, headers=headers).body.startswith("machine ")

    def test_a_refusal_names_the_client_and_no_user(self, api: Make, pool: LocalUserPool) -> None:
        site = api(lambda: outcome(get_current_user))
        site.ask(header(pool))
        (event,) = site.heard
        assert isinstance(event, events.Refused)
        assert (event.reason, event.session) == ("not_a_person", "bearer")
        assert (event.client_id, event.user_id) == (pool.client_id, None)

    def test_no_repr_shows_the_token(self, api: Make, pool: LocalUserPool) -> None:
        site = api(principal)
        token = machine_token(pool)
        site.ask("Bearer " + token)
        verdict = site.engine.authenticator.known((token.encode(),))
        assert isinstance(verdict, KnownMachine)
        assert repr(verdict) == f"<KnownMachine '{pool.client_id}'>"
