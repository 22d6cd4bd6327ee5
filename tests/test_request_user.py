"""`scope["user"]` and `scope["auth"]`: the user of a request, as an object for frameworks."""

import asyncio
import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import Context
from typing import Any

import jinja2
import pytest
from channels.auth import AuthMiddleware

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    CookiePolicy,
    Machine,
    NetworkError,
    NotAuthorizedException,
    OutsideRequestError,
    RequestAuth,
    RequestUser,
    TokenExpiredException,
    get_current_user,
)
from amplify_mw.aio import end_session
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.current import current_user
from amplify_mw.testing import Down, LocalUserPool, signed_in, signed_in_machine
from tests.shells import ASGIShell, Ask

SHELL = ASGIShell()
Scope = dict[str, Any]


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool(client_id="web") as pool:
        pool.add_user("ada", groups=["editors"])
        pool.add_user("grace")
        yield pool


@pytest.fixture
def ask(pool: LocalUserPool) -> Ask:
    """A request of ada's."""
    return Ask(cookie=pool.sign_in("ada").access_token)


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ignore(message: Any) -> None: ...


def serve(app: Any, scope: Scope, send: Any = ignore) -> Scope:
    asyncio.run(app(scope, receive, send))
    return scope


def asking(question: Callable[[Scope], object], config: AmplifyConfig, **options: Any) -> Any:
    """The middleware around an app, and what the app found."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(question(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return AmplifyASGIMiddleware(app, config, **options), found


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_app_finds_the_user_in_the_servers_own_scope(
    kind: str, config: AmplifyConfig, ask: Ask
) -> None:
    scope = {**SHELL.scope(ask), "type": kind}
    app, found = asking(lambda inner: (inner is scope, *facts(inner)), config)
    serve(app, scope)
    assert found == [(True, True, "ada", ["authenticated", "editors"])]


def test_a_scope_can_be_copied_deeply(config: AmplifyConfig, ask: Ask) -> None:
    """Tools for errors do so. The copy asks the same visit."""
    app, found = asking(lambda scope: facts(copy.deepcopy(scope)), config)
    serve(app, SHELL.scope(ask))
    assert found == [(True, "ada", ["authenticated", "editors"])]


def facts(scope: Scope) -> tuple[bool, str, list[str]]:
    user, auth = scope["user"], scope["auth"]
    return user.is_authenticated, user.display_name, auth.scopes


def error_of(kind: type[AuthError], question: Callable[[], object]) -> AuthError:
    with pytest.raises(kind) as raised:
        question()
    return raised.value


def test_a_visitor_is_nobody_without_a_name(config: AmplifyConfig) -> None:
    app, found = asking(
        lambda scope: (*facts(scope), bool(scope["user"]), bool(scope["auth"])), config
    )
    serve(app, SHELL.scope(Ask()))
    assert found == [(False, "", [], False, False)]


def test_a_visitor_is_in_no_group(config: AmplifyConfig) -> None:
    app, found = asking(
        lambda scope: (scope["user"].groups, scope["user"].has_group("editors")), config
    )
    serve(app, SHELL.scope(Ask()))
    assert found == [((), False)]


WITHOUT: dict[str, Callable[[RequestUser], object]] = {
    "username": lambda user: user.username,
    "identity": lambda user: user.identity,
    "user_id": lambda user: user.user_id,
    "user": lambda user: user.user,
    "principal": lambda user: user.principal,
    "to_dict": lambda user: user.to_dict(),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_view_that_uses_an_attribute_refuses_a_visitor(name: str, config: AmplifyConfig) -> None:
    app, _ = asking(lambda scope: WITHOUT[name](scope["user"]), config)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    serve(app, SHELL.scope(Ask()), send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("name", [name for name in WITHOUT if name != "to_dict"])
@pytest.mark.parametrize("user", ["scope", "current_user"])
def test_a_visitors_attribute_is_missing_for_code_that_asks_so(
    user: str, name: str, config: AmplifyConfig
) -> None:
    def questions(scope: Scope) -> tuple[object, ...]:
        it = current_user if user == "current_user" else scope["user"]
        text = jinja2.Template("({{ user." + name + " }})").render(user=it)
        return getattr(it, name, ""), hasattr(it, name), text

    app, found = asking(questions, config)
    serve(app, SHELL.scope(Ask()))
    assert found == [("", False, "()")]


def same_error(scope: Scope, question: Callable[[RequestUser], object]) -> NotAuthorizedException:
    """The error of the user's attribute, which is that of `get_current_user`."""
    with pytest.raises(NotAuthorizedException) as plain:
        get_current_user()
    for user in (scope["user"], current_user):
        with pytest.raises(NotAuthorizedException) as raised:
            question(user)
        error: Any = raised.value
        assert isinstance(error, AttributeError)
        assert isinstance(error, type(plain.value))
        copies = [error, copy.copy(error), pickle.loads(pickle.dumps(error))]
        assert [each.__dict__ for each in copies] == [plain.value.__dict__] * 3
        assert {repr(each) for each in copies} == {repr(plain.value)}
        assert {str(each) for each in copies} == {str(plain.value)}
        assert error.obj is None  # it would keep the request
    return plain.value


@pytest.mark.parametrize("name", WITHOUT)
def test_the_error_for_nobody_is_that_of_get_current_user(name: str, config: AmplifyConfig) -> None:
    app, found = asking(lambda scope: same_error(scope, WITHOUT[name]), config)
    serve(app, SHELL.scope(Ask()))
    assert (found[0].name, found[0].reason) == ("NotAuthorizedException", "no_session")


@pytest.mark.parametrize("name", WITHOUT)
def test_the_error_for_an_expired_token_says_so(
    name: str, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    app, found = asking(lambda scope: same_error(scope, WITHOUT[name]), config)
    serve(app, SHELL.scope(Ask(cookie=pool.mint("ada", expires_in=-3600))))
    assert type(found[0]) is TokenExpiredException
    assert found[0].name == "TokenExpiredException"


@pytest.mark.parametrize("name", [*WITHOUT, "groups", "has_group"])
def test_a_default_hides_no_outage(
    name: str, config: AmplifyConfig, pool: LocalUserPool, ask: Ask
) -> None:
    def question(scope: Scope) -> object:
        it: Any = getattr(scope["user"], name, "")
        return it("editors") if name == "has_group" else it and it()

    app, found = asking(lambda scope: error_of(NetworkError, lambda: question(scope)), config)
    with pool.fault("*", Down()):
        serve(app, SHELL.scope(ask))
    assert not isinstance(found[0], AttributeError)


@pytest.mark.parametrize(
    "question",
    [
        lambda scope: scope["user"].is_authenticated,
        lambda scope: scope["user"].display_name,
        lambda scope: bool(scope["user"]),
        lambda scope: str(scope["user"]),
        lambda scope: scope["auth"].scopes,
        lambda scope: bool(scope["auth"]),
    ],
)
def test_a_user_who_cannot_be_told_now_is_not_anonymous(
    question: Callable[[Scope], object], config: AmplifyConfig, pool: LocalUserPool, ask: Ask
) -> None:
    app, found = asking(lambda scope: error_of(NetworkError, lambda: question(scope)), config)
    with pool.fault("*", Down()):
        serve(app, SHELL.scope(ask))
    assert len(found) == 1


def test_a_machine_is_no_user_and_its_principal(config: AmplifyConfig) -> None:
    app, found = asking(
        lambda scope: (*facts(scope), bool(scope["auth"]), scope["user"].principal),
        config.replace(bearer=True),
    )
    with signed_in_machine("orders-job", scopes=["editors", "authenticated"]):
        serve(app, SHELL.scope(Ask()))
    (*rest, principal) = found[0]
    assert rest == [False, "", [], False]
    assert isinstance(principal, Machine)
    assert principal.client_id == "orders-job"


def test_a_machine_has_no_users_attributes(config: AmplifyConfig) -> None:
    app, found = asking(
        lambda scope: error_of(NotAuthorizedException, lambda: scope["user"].username),
        config.replace(bearer=True),
    )
    with signed_in_machine("orders-job"):
        serve(app, SHELL.scope(Ask()))
    assert (found[0].reason, found[0].status_code) == ("not_a_person", 403)


def test_no_repr_asks_or_says_who_it_is(config: AmplifyConfig, ask: Ask) -> None:
    app, found = asking(lambda scope: f"{scope['user']!r} {scope['auth']!r}", config)
    started: list[Any] = []

    async def send(message: Any) -> None:
        started.append(message)

    serve(app, SHELL.scope(ask), send)
    assert found == ["<RequestUser> <RequestAuth>"]
    assert started[0]["headers"] == []  # nothing depends on the user


def test_an_answer_that_depends_on_permissions_is_not_kept(config: AmplifyConfig, ask: Ask) -> None:
    app, _ = asking(lambda scope: scope["auth"].scopes, config)
    started: list[Any] = []

    async def send(message: Any) -> None:
        started.append(message)

    serve(app, SHELL.scope(ask), send)
    assert (b"cache-control", b"no-store") in started[0]["headers"]


QUESTIONS: dict[str, Callable[[Scope], object]] = {
    "is_authenticated": lambda scope: scope["user"].is_authenticated,
    "display_name": lambda scope: scope["user"].display_name,
    "username": lambda scope: scope["user"].username,
    "groups": lambda scope: scope["user"].groups,
    "principal": lambda scope: scope["user"].principal,
    "to_dict": lambda scope: scope["user"].to_dict(),
    "bool": lambda scope: bool(scope["user"]),
    "str": lambda scope: str(scope["user"]),
    "scopes": lambda scope: scope["auth"].scopes,
    "bool of auth": lambda scope: bool(scope["auth"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("who", [signed_in, signed_in_machine, nullcontext])
def test_the_user_is_gone_with_the_request(name: str, who: Any, config: AmplifyConfig) -> None:
    app, found = asking(lambda scope: 1, config.replace(bearer=True))
    with who("ada"):
        scope = serve(app, SHELL.scope(Ask()))
        with pytest.raises(OutsideRequestError, match="over"):
            QUESTIONS[name](scope)
    assert found == [1]


def test_a_session_ended_by_the_app_shows_at_once(config: AmplifyConfig, ask: Ask) -> None:
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["user"].is_authenticated)
        await end_session()
        seen.append(scope["user"].is_authenticated)

    serve(AmplifyASGIMiddleware(app, config), SHELL.scope(ask))
    assert seen == [True, False]


@pytest.mark.parametrize("foreign", ["somebody", 0, object()])
def test_a_user_of_another_layer_outside_stays(
    foreign: object, config: AmplifyConfig, ask: Ask
) -> None:
    app, found = asking(lambda scope: (scope["user"], scope.get("auth")), config)
    scope = {**SHELL.scope(ask), "user": foreign}
    serve(app, scope)
    assert found == [(foreign, None)]
    assert scope["user"] is foreign


def test_a_place_kept_free_is_taken(config: AmplifyConfig, ask: Ask) -> None:
    app, found = asking(facts, config)
    serve(app, {**SHELL.scope(ask), "user": None})
    assert found == [(True, "ada", ["authenticated", "editors"])]


def test_what_a_layer_inside_puts_there_is_seen_outside(config: AmplifyConfig, ask: Ask) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = "their own"
        scope["route"] = "/things/{id}"

    scope = serve(AmplifyASGIMiddleware(app, config), SHELL.scope(ask))
    assert (scope["user"], scope["route"]) == ("their own", "/things/{id}")


def test_the_user_of_an_outer_middleware_is_replaced_meanwhile(pool: LocalUserPool) -> None:
    both = [pool.sign_in("ada").access_token, pool.mint("grace")]
    configs = [pool.config(cookie=CookiePolicy(name=name)) for name in ("one", "two")]
    inner, found = asking(lambda scope: scope["user"].username, configs[1])

    async def between(scope: Any, receive: Any, send: Any) -> None:
        before = scope["user"], scope["auth"]
        await inner(scope, receive, send)
        assert (scope["user"], scope["auth"]) == before
        found.append(scope["user"].username)

    cookies = f"one={both[0]}; two={both[1]}"
    serve(AmplifyASGIMiddleware(between, configs[0]), SHELL.scope(Ask(cookies=cookies)))
    assert found == ["grace", "ada"]


def test_a_layer_inside_both_keeps_its_own_user(pool: LocalUserPool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = "their own"

    inner = AmplifyASGIMiddleware(app, pool.config(cookie=CookiePolicy(name="two")))
    scope = SHELL.scope(Ask())
    assert serve(AmplifyASGIMiddleware(inner, pool.config()), scope)["user"] == "their own"


def test_a_middleware_of_the_same_configuration_leaves_the_user(
    config: AmplifyConfig, ask: Ask
) -> None:
    inner, found = asking(lambda scope: scope["user"], config)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["user"])
        await inner(scope, receive, send)

    serve(AmplifyASGIMiddleware(between, config), SHELL.scope(ask))
    assert found[0] is found[1]


def test_an_ignored_path_has_no_user(config: AmplifyConfig, ask: Ask) -> None:
    app, found = asking(lambda scope: "user" in scope or "auth" in scope, config, ignore=["/*"])
    serve(app, SHELL.scope(ask))
    assert found == [False]


@pytest.mark.parametrize("is_bound", [True, False])
def test_a_request_within_another_does_not_inherit_its_user(
    is_bound: bool, config: AmplifyConfig, ask: Ask
) -> None:
    inner, found = asking(
        lambda scope: sorted({"user", "auth"} & scope.keys()), config, ignore=["/*"]
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        another = {**scope, "headers": [(b"host", b"another")], "path": "/other"}
        await inner(another, receive, send)
        assert scope["user"].username == "ada"

    async def unbound(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(app(scope, receive, send), context=Context())

    around = AmplifyASGIMiddleware(app if is_bound else unbound, config)
    serve(around, SHELL.scope(ask))
    assert found == [[]]


def test_a_request_within_another_has_its_own_user(config: AmplifyConfig, ask: Ask) -> None:
    inner, found = asking(facts, config)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "headers": [(b"host", b"another")]}, receive, send)
        assert scope["user"].username == "ada"

    serve(AmplifyASGIMiddleware(app, config), SHELL.scope(ask))
    assert found == [(False, "", [])]


def test_a_tests_user_is_there(config: AmplifyConfig) -> None:
    app, found = asking(facts, config)
    with signed_in("grace", groups=["admins"]):
        serve(app, SHELL.scope(Ask()))
    assert found == [(True, "grace", ["authenticated", "admins"])]


def test_other_types_of_scope_get_none(config: AmplifyConfig) -> None:
    scope: Scope = {"type": "lifespan"}
    app, found = asking(lambda scope: dict(scope), config)
    serve(app, scope)
    assert found == [{"type": "lifespan"}]


def test_a_request_leaves_nothing_for_the_garbage_collector(
    config: AmplifyConfig, ask: Ask
) -> None:
    class Noted(dict[str, Any]):
        pass

    app, _ = asking(facts, config)
    serve(app, SHELL.scope(ask))
    gc.collect()
    gc.disable()
    try:
        scope = Noted(SHELL.scope(ask))
        gone = weakref.ref(scope)
        serve(app, scope)
        del scope
        assert gone() is None
    finally:
        gc.enable()


# Django Channels, whose layer keeps a user that is there, and writes its own into it.


class _TheirUser:
    is_authenticated = True
    pk = 7

    def __init__(self) -> None:
        self.seen = False

    def __str__(self) -> str:
        return "their user"


def test_channels_own_user_replaces_ours(
    config: AmplifyConfig, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _TheirUser()

    async def get_user(scope: Any) -> _TheirUser:  # as from the database
        return theirs

    monkeypatch.setattr("channels.auth.get_user", get_user)
    seen: list[Any] = []

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        user = scope["user"]
        seen.append(
            (user.is_authenticated, user.pk, str(user), bool(user), isinstance(user, _TheirUser))
        )
        seen.append((user == theirs, hash(user) == hash(theirs), repr(user) == repr(theirs)))
        user.seen = True

    app = AmplifyASGIMiddleware(AuthMiddleware(consumer), config)
    serve(app, {**SHELL.scope(ask), "type": "websocket", "session": {}})
    assert seen == [(True, 7, "their user", True, True), (True, True, True)]
    assert theirs.seen


def test_channels_replaces_its_own_user_as_well(
    config: AmplifyConfig, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [_TheirUser(), _TheirUser()]
    left = iter(found)

    async def get_user(scope: Any) -> _TheirUser:
        return next(left)

    monkeypatch.setattr("channels.auth.get_user", get_user)
    seen: list[bool] = []

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["user"] == user for user in found)

    app = AmplifyASGIMiddleware(AuthMiddleware(AuthMiddleware(consumer)), config)
    serve(app, {**SHELL.scope(ask), "type": "websocket", "session": {}})
    assert seen == [False, True]


def test_another_attribute_is_refused_by_its_name() -> None:
    for made in (RequestUser(), RequestAuth()):
        with pytest.raises(AttributeError, match="has no attribute 'tenant'"):
            made.tenant = "a1"  # type: ignore[union-attr]
