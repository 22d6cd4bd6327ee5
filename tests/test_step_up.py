"""Guards that ask for more than a user: a recent or strong sign-in, claims, a function's word."""

import asyncio
import copy
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import amplify_mw
from amplify_mw import (
    AmplifyConfig,
    AuthRoutes,
    AuthUser,
    ConfigurationError,
    ForbiddenException,
    Machine,
    Needs,
    NotAuthorizedException,
    StepUpRequiredException,
    aio,
    get_claim,
    require_auth,
)
from amplify_mw.errors import AuthError
from amplify_mw.needs import unmet
from amplify_mw.sessions.bundle import Bundle
from amplify_mw.sessions.verdicts import LastingState, SignedIn
from amplify_mw.testing import LocalUserPool, signed_in
from tests.shells import Ask, Got, Shell
from tests.sites import KEYS

MFA = "urn:example:mfa"
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
FORM = {**PAGE, "Origin": "https://app.example.com"}
CHALLENGE = f'error="insufficient_user_authentication", max_age="300", acr_values="{MFA}"'


def refusal(guarded: Callable[[], object]) -> str | None:
    try:
        guarded()
    except AuthError as error:
        return error.reason
    return None


def guarded(**needs: Any) -> Callable[[], str]:
    return require_auth(**needs)(lambda: "in")


def ago(seconds: float) -> dict[str, Any]:
    return {"auth_time": time.time() - seconds}


class TestFresh:
    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            (0, None),
            (100, None),
            (1000, "not_fresh"),
            (-1000, "not_fresh"),
            ({"auth_time": None}, "not_fresh"),
            ({"auth_time": str(int(time.time()))}, "not_fresh"),
            ({"auth_time": True}, "not_fresh"),
            ({"auth_time": -1}, "not_fresh"),
            ({"auth_time": 10**400}, "not_fresh"),
            ({"auth_time": -(10**400)}, "not_fresh"),
            ({"auth_time": [time.time()]}, "not_fresh"),
            ({"auth_time": {}}, "not_fresh"),
        ],
    )
    def test_a_sign_in_counts_for_some_time(self, claims: Any, reason: str | None) -> None:
        claims = ago(claims) if isinstance(claims, int) else claims
        with signed_in("ada", claims=claims):
            assert refusal(guarded(fresh=300)) == reason

    def test_the_error_says_what_to_sign_in_with(self) -> None:
        with signed_in("ada", claims=ago(1000)), pytest.raises(StepUpRequiredException) as caught:
            guarded(fresh=300, acr=[MFA, "urn:key"])()
        error = caught.value
        assert (error.status_code, error.max_age) == (401, 300)
        assert error.acr_values == (MFA, "urn:key")
        assert not isinstance(error, NotAuthorizedException)

    def test_what_was_let_in_once_is_refused_when_it_gets_too_old(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = guarded(fresh=300)
        with signed_in("ada"):
            home = amplify_mw.engine.context.current_visit().home
            now = time.time()
            monkeypatch.setattr(home.runner, "clock", lambda: now)
            assert [refusal(check) for _ in range(2)] == [None, None]
            now += 304
            assert refusal(check) is None  # with the leeway
            now += 2
            assert [refusal(check) for _ in range(2)] == ["not_fresh"] * 2
            now -= 100_000  # a clock that was set back
            assert refusal(check) == "not_fresh"

    @pytest.mark.parametrize("started", [None, 0, 20, 1000])
    @pytest.mark.parametrize("shown", [0, 4, 100])
    def test_the_note_of_a_look_says_at_any_time_what_a_new_look_would(
        self, started: int | None, shown: int
    ) -> None:
        now = time.time()
        with signed_in("ada", claims=ago(shown)):
            verdict = amplify_mw.engine.context.current_visit().verdict
        assert isinstance(verdict, SignedIn)
        if started is not None:
            bundle = Bundle(bytes(16), 0, now - started, now, b"", b"", None)
            verdict = replace(verdict, held=LastingState(bundle, b"", 0))
        needs = Needs(fresh=300)
        noted = replace(verdict)
        unmet(needs, noted, now, 5)
        for later in range(-400, 400):
            said = [unmet(needs, one, now + later, 5) for one in (noted, replace(verdict))]
            assert (said[0] is None) == (said[1] is None), later


class TestAcr:
    @pytest.mark.parametrize(
        ("acr", "reason"),
        [
            (MFA, None),
            ("urn:key", None),
            ("urn:other", "acr_too_low"),
            (MFA + " urn:key", "acr_too_low"),
            (None, "acr_too_low"),
            ([MFA], "acr_too_low"),
            (1, "acr_too_low"),
        ],
    )
    def test_it_is_one_of_those(self, acr: object, reason: str | None) -> None:
        with signed_in("ada", claims={"acr": acr}):
            assert refusal(guarded(acr=[MFA, "urn:key"])) == reason

    def test_one_name_needs_no_list(self) -> None:
        with signed_in("ada", claims={"acr": MFA}):
            assert guarded(acr=MFA)() == "in"


class TestClaims:
    @pytest.mark.parametrize(
        ("claims", "wanted", "is_let_in"),
        [
            ({"custom:tenant": "a1"}, {"custom:tenant": "a1"}, True),
            ({"custom:tenant": "a1"}, {"custom:tenant": ["b2", "a1"]}, True),
            ({"custom:tenant": "a1"}, {"custom:tenant": "b2"}, False),
            ({}, {"custom:tenant": "a1"}, False),
            ({"level": 1}, {"level": 1}, True),
            ({"level": 1}, {"level": True}, False),
            ({"level": "1"}, {"level": 1}, False),
            ({"level": True}, {"level": True}, True),
            ({"custom:tenant": ["a1"]}, {"custom:tenant": "a1"}, False),
            ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, False),
        ],
    )
    def test_all_have_their_values(self, claims: Any, wanted: Any, is_let_in: bool) -> None:
        with signed_in("ada", claims=claims):
            assert refusal(guarded(claims=wanted)) == (None if is_let_in else "unmet_claim")

    def test_a_claim_by_its_name(self) -> None:
        with signed_in("ada", attributes={"custom:tenant": "a1"}, claims={"level": 3}):
            assert get_claim("custom:tenant") == "a1"
            assert get_claim("custom:tenant", token_use="access") is None
            assert (get_claim("level"), get_claim("level", token_use="access")) == (3, 3)
            assert get_claim("nothing") is None
            assert get_claim("scope") is None
            assert get_claim("scope", token_use="access") == "aws.cognito.signin.user.admin"
            assert asyncio.run(awaited("level")) == 3

    def test_claims_follow_the_user_of_the_request(self) -> None:
        with signed_in("ada", claims={"level": 3}):
            assert get_claim("level") == 3
            with signed_in("grace", claims={"level": 4}):
                assert get_claim("level") == 4
            assert get_claim("level") == 3

    def test_nobody_has_claims(self) -> None:
        with amplify_mw.testing.signed_out(), pytest.raises(NotAuthorizedException):
            get_claim("sub")


async def awaited(name: str) -> Any:
    return await aio.get_claim(name)


class TestCheck:
    def test_a_function_decides_and_is_asked_each_time(self) -> None:
        answers: list[object] = [True, False, None, 1]
        seen: list[AuthUser] = []

        def check(user: AuthUser) -> object:
            seen.append(user)
            return answers.pop(0)

        with signed_in("ada") as user:
            found = [refusal(guarded(check=check)) for _ in range(4)]
        assert found == [None, "not_permitted", "not_permitted", None]
        assert seen == [user] * 4

    def test_one_that_is_to_be_awaited_lets_nobody_in(self) -> None:
        async def slow(user: AuthUser) -> bool:
            return True

        with signed_in("ada"), pytest.raises(TypeError, match="not awaited"):
            guarded(check=lambda user: slow(user))()
        with pytest.raises(ConfigurationError, match="not awaited"):
            require_auth(check=slow)

    def test_it_is_asked_last(self) -> None:
        asked: list[object] = []
        with signed_in("ada"):
            assert refusal(guarded(groups=["a"], check=asked.append)) == "missing_group"
        assert asked == []


class TestNeeds:
    def test_a_guard_takes_the_value_that_paths_take(self) -> None:
        check = require_auth(Needs(groups=["billing"], fresh=600))(lambda: "in")
        with signed_in("ada", groups=["billing"]):
            assert check() == "in"
        with signed_in("ada"):
            assert refusal(check) == "missing_group"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"fresh": 0},
            {"fresh": True},
            {"fresh": "300"},
            {"fresh": float("nan")},
            {"acr": ""},
            {"acr": []},
            {"acr": ["a b"]},
            {"acr": ['a"b']},
            {"acr": ["a\r\nb"]},
            {"acr": ["a" * 300]},
            {"acr": [1]},
            {"claims": {}},
            {"claims": ["custom:tenant"]},
            {"claims": {"custom:tenant": None}},
            {"claims": {"custom:tenant": []}},
            {"claims": {"": "a"}},
            {"check": True},
            {"check": dict},
            {"groups": []},
            {"machines": 1},
            {"machines": True, "groups": ["a"]},
            {"machines": True, "fresh": 300},
            {"machines": True, "acr": MFA},
        ],
    )
    def test_a_wrong_one_is_refused_at_once(self, wrong: Any) -> None:
        with pytest.raises(ConfigurationError):
            Needs(**wrong)
        with pytest.raises(ConfigurationError):
            require_auth(**wrong)

    def test_an_unknown_name_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="role"):
            require_auth(role="admin")  # type: ignore[call-overload]

    def test_equal_ones_are_equal_and_copies_work(self) -> None:
        needs = Needs(groups=["b", "a"], fresh=600, claims={"x": "1"})
        assert needs == Needs(groups=("a", "b"), fresh=600, claims={"x": ["1"]})
        assert hash(needs) == hash(pickle.loads(pickle.dumps(needs)))
        assert copy.deepcopy(needs) == copy.replace(needs) if hasattr(copy, "replace") else needs

    def test_the_memo_of_a_user_stays_small(self) -> None:
        with signed_in("ada"):
            for number in range(10, 300):
                assert refusal(guarded(fresh=number)) is None
            verdict: Any = amplify_mw.engine.context.current_visit().verdict
            assert len(verdict.met) <= 64


def test_a_user_has_groups() -> None:
    user = AuthUser("ada", "1", groups=("a", "b"))
    assert user.has_group("a")
    assert not user.has_group("ab")


# --- what a refusal says, by both shells


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", groups=["billing"])
        yield pool


@pytest.fixture
def config(pool: LocalUserPool) -> AmplifyConfig:
    return pool.config(routes=AuthRoutes(origin="https://app.example.com", keys=KEYS[:1]))


ASKED = Needs(fresh=300, acr=MFA)


@pytest.fixture(params=["guard", "path"])
def asking(request: Any, shell: Shell, config: AmplifyConfig) -> Callable[..., Got]:
    """Ask for `/pay`, which asks for a strong and fresh sign-in."""

    def ask(needs: Needs = ASKED, cookie: str | None = None, **facts: Any) -> Got:
        options = facts.pop("options", {})
        if request.param == "path":
            options["protect"] = {"/pay/*": needs, "/*": Needs()}
            app = shell.app(lambda: "paid")
        else:
            app = shell.app(require_auth(needs)(lambda: "paid"))
        middleware = shell.middleware(app, config.replace(**options))
        return shell.send(middleware, Ask("/pay", cookie=cookie, **facts))

    return ask


def old(pool: LocalUserPool, token_use: Any = "id", **claims: Any) -> str:
    return pool.mint("ada", token_use, claims={"auth_time": 1, **claims})


def new(pool: LocalUserPool, token_use: Any = "id", **claims: Any) -> str:
    return pool.mint("ada", token_use, claims={"acr": MFA, **claims})


def test_a_good_sign_in_passes(asking: Any, pool: LocalUserPool) -> None:
    assert asking(cookie=new(pool)).body == "paid"


def test_a_page_leads_to_a_new_sign_in_and_back(asking: Any, pool: LocalUserPool) -> None:
    got = asking(cookie=old(pool), headers=PAGE, query="order=7")
    assert got.status == 302
    url = urlsplit(str(got.one("location")))
    assert url.path == "/auth/sign-in"
    assert parse_qs(url.query) == {
        "max_age": ["300"],
        "acr_values": [MFA],
        "next": ["/pay?order=7"],
    }
    assert not got.clears_cookie


def test_a_program_with_a_cookie_gets_a_challenge(asking: Any, pool: LocalUserPool) -> None:
    got = asking(cookie=old(pool))
    assert (got.status, got.one("content-type")) == (401, "application/problem+json")
    assert got.one("www-authenticate") == (
        f'Cookie realm="sign-in", cookie-name="amplify-session", {CHALLENGE}'
    )
    assert not got.clears_cookie


def test_with_bearer_both_challenges_are_there(asking: Any, pool: LocalUserPool) -> None:
    got = asking(cookie=old(pool), options={"bearer": True})
    assert got.all("www-authenticate")[0] == f'Bearer realm="api", {CHALLENGE}'


def test_a_program_with_a_token_gets_rfc_9470s(asking: Any, pool: LocalUserPool) -> None:
    headers = {"Authorization": f"Bearer {old(pool, 'access')}", **PAGE}
    got = asking(headers=headers, options={"bearer": True})
    assert got.status == 401
    assert got.one("www-authenticate") == f'Bearer realm="api", {CHALLENGE}'
    headers = {"Authorization": f"Bearer {new(pool, 'access')}"}
    assert asking(headers=headers, options={"bearer": True}).body == "paid"


def test_a_form_is_told_what_has_become_of_it(asking: Any, pool: LocalUserPool) -> None:
    got = asking(cookie=old(pool), method="POST", headers=FORM)
    assert (got.status, got.one("location")) == (401, None)
    assert "nothing has been done yet" in got.body
    assert 'target="_blank"' in got.body
    assert "/auth/sign-in?max_age=300&amp;acr_values=" in got.body
    assert "next=" not in got.body


def test_without_sign_in_routes_a_page_says_so(asking: Any, pool: LocalUserPool) -> None:
    options = {"routes": None, "login_url": "/login"}
    got = asking(cookie=old(pool), headers=PAGE, options=options)
    assert (got.status, got.one("location")) == (401, None)
    assert 'href="/login?max_age=300&amp;acr_values=' in got.body
    options = {"routes": None, "login_url": None}
    assert asking(cookie=old(pool), headers=PAGE, options=options).status == 401


def raising(**facts: Any) -> Needs:
    """Needs whose `check` raises the app's own error with these attributes."""

    def check(user: object) -> bool:
        error = StepUpRequiredException(reason="not_fresh")
        for name, value in facts.items():
            setattr(error, name, value)
        raise error

    return Needs(check=check)


@pytest.mark.parametrize("facts", [{}, {"max_age": 1.5}, {"max_age": -1}, {"max_age": 10**9}])
def test_an_apps_own_error_that_asks_for_nothing_goes_round_in_no_circle(
    asking: Any, pool: LocalUserPool, facts: Any
) -> None:
    got = asking(raising(**facts), cookie=new(pool), headers=PAGE)
    assert (got.status, got.one("location")) == (401, None)
    assert 'href="/auth/sign-in?prompt=login&amp;next=%2Fpay"' in got.body
    got = asking(raising(**facts), cookie=new(pool))
    assert str(got.one("www-authenticate")).endswith('error="insufficient_user_authentication"')


@pytest.mark.parametrize("value", ['urn:a"b', "urn:a\r\nX: y", "urn:\u20ac", "urn:a b", "a\\", 1])
@pytest.mark.parametrize("bearer", [False, True])
def test_an_apps_own_error_writes_no_header_of_another_form(
    asking: Any, pool: LocalUserPool, value: object, bearer: bool
) -> None:
    facts: dict[str, Any] = {"cookie": new(pool)}
    if bearer:
        facts = {"headers": {"Authorization": f"Bearer {new(pool, 'access')}"}}
    needs = raising(acr_values=(value, MFA), max_age=300)
    got = asking(needs, options={"bearer": bearer}, **facts)
    assert got.status == 401
    for said in got.all("www-authenticate"):
        assert said.endswith(f", {CHALLENGE}")


@pytest.mark.parametrize("token_use", ["id", "access"])
def test_the_believed_token_tells_of_the_sign_in(
    asking: Any, pool: LocalUserPool, token_use: str
) -> None:
    assert asking(cookie=new(pool, token_use)).body == "paid"
    assert asking(cookie=old(pool, token_use, acr=MFA)).status == 401


@pytest.mark.parametrize(
    ("needs", "status"),
    [
        (Needs(groups=["billing"]), 200),
        (Needs(groups=["admins"]), 403),
        (Needs(scopes=["orders/write"]), 403),
        (Needs(claims={"custom:tenant": "a1"}), 403),
        (Needs(check=lambda user: user.username == "ada"), 200),
        (Needs(check=lambda user: False), 403),
    ],
)
def test_what_no_sign_in_mends_is_403(
    asking: Any, pool: LocalUserPool, needs: Needs, status: int
) -> None:
    assert asking(needs, cookie=new(pool)).status == status
    assert asking(needs, cookie=new(pool), headers=PAGE).status == status


def test_nobody_is_sent_to_an_ordinary_sign_in(asking: Any) -> None:
    assert asking().status == 401


# --- paths


def ask(shell: Shell, config: AmplifyConfig, path: str, cookie: str, protect: Any) -> int:
    app = shell.middleware(shell.app(lambda: "in"), config, protect=protect)
    return shell.send(app, Ask(path, cookie=cookie)).status


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/admin/x", "//admin", "/%61dmin", "/x/../admin", "/admin\\x"]
)
def test_no_spelling_gets_around_the_needs_of_a_path(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool, path: str
) -> None:
    protect = {"/*": Needs(), "/admin/*": Needs(groups=["admins"])}
    assert ask(shell, config, path, pool.mint("ada"), protect) == 403
    assert ask(shell, config, "/other", pool.mint("ada"), protect) == 200


def test_a_path_too_hard_to_read_needs_all(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    protect = {"/a": Needs(), "/admin/*": Needs(groups=["admins"])}
    assert ask(shell, config, "/" + "%25" * 60, pool.mint("ada"), protect) == 403


def test_all_patterns_of_a_path_count(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    protect = {"/a/*": Needs(groups=["billing"]), "/a/b": Needs(groups=["admins"])}
    assert ask(shell, config, "/a/c", pool.mint("ada"), protect) == 200
    assert ask(shell, config, "/a/b", pool.mint("ada"), protect) == 403


def test_a_machine_passes_where_it_may(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    secret = pool.add_machine("job", scopes=["orders/write"])
    config = config.replace(
        bearer=True,
        client_id=[pool.client_id, "job"],
        protect={
            "/jobs": Needs(machines=True, scopes=["orders/write"]),
            "/mine": Needs(machines=True, check=lambda who: isinstance(who, Machine)),
            "/people": Needs(),
        },
    )
    app = shell.middleware(shell.app(lambda: str(get_claim("client_id"))), config)
    token = machine_token(pool, secret)
    headers = {"Authorization": f"Bearer {token}"}
    found = [shell.send(app, Ask(path, headers=headers)) for path in ("/jobs", "/mine", "/people")]
    assert [(got.status, got.body[:3]) for got in found[:2]] == [(200, "job")] * 2
    assert found[2].status == 403


def machine_token(pool: LocalUserPool, secret: str) -> str:
    import httpx2

    data = {"grant_type": "client_credentials"}
    with httpx2.Client(trust_env=False, timeout=30) as client:
        got = client.post(f"{pool.config().domain}/oauth2/token", data=data, auth=("job", secret))
    return str(got.json()["access_token"])


@pytest.mark.parametrize("wrong", [{"/a": None}, {"/a": ["billing"]}, {"/a": True}])
def test_the_values_of_protect_are_needs(config: AmplifyConfig, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"write Needs\("):
        config.replace(protect=wrong)


def test_a_configuration_with_needs_is_a_value(config: AmplifyConfig) -> None:
    one, other = (config.replace(protect={"/a/*": Needs(fresh=600)}) for _ in range(2))
    assert one == other == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(other)
    assert one != config.replace(protect={"/a/*": Needs(fresh=60)})
    with pytest.raises(ConfigurationError, match="protect: write decoded paths"):
        config.replace(protect={"a": Needs()})


def test_an_app_that_reads_another_path_does_not_answer_the_wrong_user(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    """It may take a mount off the path that the middleware does not know of."""
    protect = {"/admin/*": Needs(groups=["admins"])}

    if shell.kind == "wsgi":

        def app(environ: Any, start_response: Any) -> Any:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/v1")
            start_response("200 OK", [])
            return [b"secret"]
    else:

        async def app(scope: Any, receive: Any, send: Any) -> None:  # type: ignore[misc]
            scope["root_path"] = "/v1"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"secret"})

    middleware: Any = shell.middleware(app, config, protect=protect)  # type: ignore[arg-type]
    got = shell.send(middleware, Ask("/v1/admin/x", cookie=pool.mint("ada")))
    assert (got.status, "secret" in got.body) == (403, False)


def test_a_guards_forbidden_exception_is_the_same_error() -> None:
    with signed_in("ada"), pytest.raises(ForbiddenException):
        guarded(claims={"custom:tenant": "a1"})()


def test_a_machine_of_a_test_has_no_claims() -> None:
    with amplify_mw.testing.signed_in_machine("job"):
        assert get_claim("sub") is None
        assert refusal(guarded(machines=True, claims={"sub": "job"})) == "unmet_claim"
