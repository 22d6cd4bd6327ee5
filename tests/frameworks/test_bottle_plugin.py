"""Bottle's plugin `AmplifyAuth`: the user as an argument, and errors wherever they are raised."""

from collections.abc import Callable, Iterator
from typing import Any

import bottle
import pytest
from werkzeug.test import Client

from amplify_mw import ConfigurationError, NotAuthorizedException, OutsideRequestError, require_auth
from amplify_mw.integrations.bottle import AmplifyAuth, current_user
from amplify_mw.testing import LocalUserPool, signed_in


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bottle's default names of templates, which are the process's."""
    monkeypatch.setattr(bottle.BaseTemplate, "defaults", {})


@pytest.fixture
def auth(pool: LocalUserPool) -> AmplifyAuth:
    return AmplifyAuth(pool.config())


@pytest.fixture
def app(auth: AmplifyAuth) -> Any:
    app = bottle.Bottle()
    app.install(auth)
    return app


def ask(app: Any, path: str = "/", cookie: str | None = None) -> Any:
    headers = {} if cookie is None else {"Cookie": f"amplify-session={cookie}"}
    return Client(app, use_cookies=False).get(path, headers=headers)


# --- the argument


def test_an_argument_for_the_user_guards_its_route(app: Any, ada: str) -> None:
    app.get("/x")(lambda user: f"Hello {user.username}")
    answer = ask(app, "/x", ada)
    assert (answer.text, answer.headers["Cache-Control"]) == ("Hello ada", "no-store")
    assert ask(app, "/x").status_code == ask(app, "/x", "junk").status_code == 401


def test_an_argument_with_a_default_is_none_for_visitors(app: Any, ada: str) -> None:
    app.get("/x")(lambda user="?": f"Hello {user and user.username}")
    assert [ask(app, "/x", cookie).text for cookie in (ada, None)] == ["Hello ada", "Hello None"]


def test_an_argument_by_name_alone_works(app: Any, ada: str) -> None:
    @app.get("/x/<page>")
    def show(page: str, *, user: Any) -> str:
        return f"{page} of {user.username}"

    assert ask(app, "/x/home", ada).text == "home of ada"
    assert ask(app, "/x/home").status_code == 401


def test_a_decorated_route_gets_it_too(app: Any, pool: LocalUserPool, ada: str) -> None:
    @app.get("/x")
    @require_auth(groups=["editors"])
    def publish(user: Any) -> str:
        return f"published by {user.username}"

    assert ask(app, "/x", pool.sign_in("eve").access_token).text == "published by eve"
    assert [ask(app, "/x", cookie).status_code for cookie in (ada, None)] == [403, 401]


def test_a_generator_is_guarded_before_it_begins(app: Any, ada: str) -> None:
    @app.get("/x")
    def names(user: Any) -> Iterator[str]:
        yield user.username
        yield str(current_user)

    assert ask(app, "/x", ada).text == "adaada"
    assert ask(app, "/x").status_code == 401


def test_routes_without_it_are_left_alone(app: Any) -> None:
    app.get("/x")(lambda **rest: str(rest))
    app.get("/y/<users>")(lambda users: users)
    app.get("/z")(dict)  # of a builtin nobody knows the arguments
    answers = [ask(app, path).text for path in ("/x", "/y/all", "/z")]
    assert answers == ["{}", "all", "{}"]


@pytest.mark.parametrize("user", ["ada", "root", "%7B%7D"])
def test_a_part_of_the_path_never_becomes_the_user(app: Any, ada: str, user: str) -> None:
    seen: list[Any] = []

    @app.get("/x/<user>")
    def note(user: Any) -> None:
        seen.append(user)

    @app.get("/y")
    @app.get("/y/<user>")
    def show(user: Any) -> str:
        return str(user.username)

    for path in (f"/x/{user}", f"/y/{user}"):
        assert [ask(app, path, cookie).status_code for cookie in (ada, None)] == [500, 401]
    assert ask(app, "/y", ada).text == "ada"
    assert seen == []


def test_the_argument_may_have_another_name(pool: LocalUserPool, ada: str) -> None:
    app = bottle.Bottle()
    app.install(AmplifyAuth(pool.config(), keyword="me", protect=["/private"]))
    app.get("/x/<user>")(lambda user, me: f"{me.username} looks at {user}")
    assert ask(app, "/x/bob", ada).text == "ada looks at bob"
    assert ask(app, "/private").status_code == 401


def test_a_user_of_a_test_is_the_argument(app: Any) -> None:
    app.get("/x")(lambda user: user.username)
    with signed_in("ada"):
        assert ask(app, "/x").text == "ada"


# --- templates


def test_templates_have_the_user(app: Any, ada: str) -> None:
    text = "% if current_user:\nHello {{current_user}}\n% else:\nHello, stranger\n% end"
    app.get("/x")(lambda: bottle.template(text))
    app.error(404)(lambda error: bottle.template(text))
    for path in ("/x", "/nothing"):
        seen = [ask(app, path, cookie).text.strip() for cookie in (ada, None)]
        assert seen == ["Hello ada", "Hello, stranger"]
    with pytest.raises(OutsideRequestError):
        bottle.template(text)


# --- errors


def raises(*_: Any) -> Any:
    return current_user.username  # nobody has one


def in_a_hook(app: Any) -> None:
    app.add_hook("before_request", raises)


def in_a_late_hook(app: Any) -> None:
    app.get("/x")(lambda: "secret")
    app.add_hook("after_request", raises)


def in_a_route(app: Any) -> None:
    app.get("/x")(raises)


def in_a_template(app: Any) -> None:
    app.get("/x")(lambda: bottle.template("{{current_user.username}}"))


def in_a_body(app: Any) -> None:
    @app.get("/x")
    def body() -> Iterator[str]:
        yield current_user.username


def in_an_error_handler(app: Any) -> None:
    app.error(404)(raises)


def in_a_route_that_skips_all_plugins(app: Any) -> None:
    app.get("/x", skip=True)(raises)


PLACES = [
    in_a_hook, in_a_late_hook, in_a_route, in_a_template, in_a_body, in_an_error_handler,
    in_a_route_that_skips_all_plugins,
]  # fmt: skip


@pytest.mark.parametrize("catchall", [True, False])
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_error_is_answered_wherever_it_is_raised(
    app: Any,
    place: Callable[[Any], None],
    debug: bool,
    catchall: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bottle, "DEBUG", debug)
    app.catchall = catchall
    place(app)
    answer = ask(app, "/x", "junk")
    assert (answer.status_code, answer.json["title"]) == (401, "Unauthorized")
    assert answer.headers["Set-Cookie"].startswith("amplify-session=;")


def test_the_page_of_an_error_holds_no_token(
    app: Any, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bottle, "DEBUG", True)

    @app.get("/x")
    def fails(user: Any) -> None:
        raise ZeroDivisionError

    token = pool.sign_in("ada").id_token
    answer = ask(app, "/x", token)
    assert (answer.status_code, "ZeroDivisionError" in answer.text) == (500, True)
    for part in token.split("."):
        assert part not in answer.text


def test_other_errors_go_to_the_apps_own_handler(auth: AmplifyAuth) -> None:
    app = bottle.Bottle()
    app.error(500)(lambda error: "our page")
    app.install(auth)

    @app.get("/x")
    def fails() -> None:
        raise ZeroDivisionError

    assert ask(app, "/x").text == "our page"


# --- set-up


def nested(join: Callable[[Any, Any], object], *plugins: AmplifyAuth | None) -> Any:
    """An app with another one joined to it, whose one route has no guard of its own."""
    outer, inner = bottle.Bottle(), bottle.Bottle()
    for app, plugin in zip((outer, inner), plugins, strict=True):
        if plugin is not None:
            app.install(plugin)
    inner.get("/account")(lambda: f"the account of {current_user}")
    join(outer, inner)
    return outer


JOINS = [lambda outer, inner: outer.mount("/", inner), lambda outer, inner: outer.merge(inner)]


@pytest.mark.parametrize("join", JOINS, ids=["mount", "merge"])
def test_a_mounted_app_is_never_served_without_its_guard(
    pool: LocalUserPool, ada: str, join: Callable[[Any, Any], object]
) -> None:
    """Bottle takes its routes, and leaves the middleware around it out."""
    guard = AmplifyAuth(pool.config(), protect=["/account"])
    with pytest.raises(ConfigurationError, match="install the same AmplifyAuth object in both"):
        ask(nested(join, None, guard), "/account")
    assert ask(nested(join, AmplifyAuth(pool.config()), guard), "/account").status_code == 500
    same = nested(join, guard, guard)
    assert ask(same, "/account").status_code == 401
    assert ask(same, "/account", ada).text == "the account of ada"


def test_one_mounted_as_any_wsgi_app_has_its_own_guard(pool: LocalUserPool, ada: str) -> None:
    guard = AmplifyAuth(pool.config(), protect=["/account"])
    app = nested(lambda outer, inner: outer.mount("/in/", inner.wsgi), None, guard)
    assert ask(app, "/in/account").status_code == 401
    assert ask(app, "/in/account", ada).text == "the account of ada"


def test_the_default_app_takes_it(auth: AmplifyAuth, ada: str) -> None:
    with bottle.app.new_app() as app:
        bottle.install(auth)
        bottle.get("/x")(lambda user: user.username)
        assert (ask(app, "/x", ada).text, ask(app, "/x").status_code) == ("ada", 401)
    bottle.app.pop()


def test_wrong_use_says_what_to_write(app: Any, auth: AmplifyAuth, pool: LocalUserPool) -> None:
    with pytest.raises(ConfigurationError, match="install one AmplifyAuth, once"):
        app.install(auth)
    with pytest.raises(ConfigurationError, match=r"write app.install\(AmplifyAuth\(config\)\)"):
        AmplifyAuth(app)
    with pytest.raises(ConfigurationError, match=r"write app.install\(AmplifyAuth\(config\)\)"):
        AmplifyAuth(app, pool.config())
    with pytest.raises(ConfigurationError, match="keyword: write the name of an argument"):
        AmplifyAuth(pool.config(), keyword="the user")


def test_where_no_middleware_is_an_error_stays_one(pool: LocalUserPool) -> None:
    app = bottle.Bottle()
    app.install(AmplifyAuth(pool.config(), ignore=["/static/*"]))

    @app.get("/static/x")
    def refused() -> None:
        raise NotAuthorizedException(reason="no_session")

    app.get("/static/y")(lambda user: user.username)
    for path, error in (("/static/x", NotAuthorizedException), ("/static/y", OutsideRequestError)):
        with pytest.raises(error):  # Bottle hands it to the server, with its page
            ask(app, path)
