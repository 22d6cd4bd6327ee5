"""Pyramid: the security policy, denied permissions, and errors wherever they are raised."""

from collections.abc import Callable
from typing import Any

import pytest
from pyramid.authorization import ALL_PERMISSIONS, Allow, Authenticated, Deny, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound
from pyramid.response import Response
from pyramid.security import forget, remember
from werkzeug.test import Client

from amplify_mw import (
    ConfigurationError,
    NotAuthorizedException,
    OutsideRequestError,
    get_current_user,
    start_session,
)
from amplify_mw.events import Refused
from amplify_mw.integrations.pyramid import AmplifySecurityPolicy
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware

View = Callable[[Any], Any]
HTTPS = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"}


class Root:
    """A resource whose permissions are granted to others each."""

    def __init__(self, request: Any) -> None:
        self.__acl__ = [
            (Deny, "group:banned", ALL_PERMISSIONS),
            (Allow, Everyone, "view"),
            (Allow, Authenticated, "comment"),
            (Allow, "group:editors", ("edit", "publish")),
            (Allow, "5f1c", "own"),
        ]


def build(pool: LocalUserPool, *steps: Callable[[Any], object], **options: Any) -> Any:
    """An app with a path for each permission, and what `steps` add."""
    with Configurator(root_factory=Root) as config:
        config.include("amplify_mw.integrations.pyramid")
        for permission in ("view", "comment", "edit", "own"):
            config.add_route(permission, f"/{permission}")
            config.add_view(
                lambda request: Response(request.authenticated_userid or "nobody"),
                route_name=permission,
                permission=permission,
            )
        for step in steps:
            step(config)
    return AmplifyWSGIMiddleware(config.make_wsgi_app(), pool.config(**options))


def at(path: str, view: View, **more: Any) -> Callable[[Any], None]:
    """A step that adds a view."""

    def add(config: Any) -> None:
        config.add_route(path, path)
        config.add_view(view, route_name=path, **more)

    return add


def ask(app: Any, path: str, cookie: str | None = None, **headers: str) -> Any:
    sent = headers if cookie is None else {**headers, "Cookie": f"amplify-session={cookie}"}
    return Client(app, use_cookies=False).get(path, headers=sent)


# --- who is there, and what they may


def test_the_request_knows_its_user(pool: LocalUserPool) -> None:
    def show(request: Any) -> dict[str, Any]:
        policy = AmplifySecurityPolicy()
        user = request.identity
        return {
            "name": user and user.username,
            "is_in": request.is_authenticated,
            "principals": policy.principals(request),
            "edits": bool(request.has_permission("edit")),
        }

    app = build(pool, at("/me", show, renderer="json"))
    eve = pool.sign_in("eve")
    sub = ask(app, "/view", eve.id_token).text
    assert ask(app, "/me", eve.id_token).json == {
        "name": "eve",
        "is_in": True,
        "principals": [Everyone, Authenticated, sub, "group:editors"],
        "edits": True,
    }
    nobody = {"name": None, "is_in": False, "principals": [Everyone], "edits": False}
    assert ask(app, "/me").json == ask(app, "/me", "junk").json == nobody


def test_permissions_are_a_401_for_nobody_and_a_403_for_a_user(
    pool: LocalUserPool, ada: str
) -> None:
    app = build(pool)
    eve = pool.sign_in("eve").id_token
    paths = ("/view", "/comment", "/edit", "/own")
    statuses = {
        cookie: [ask(app, path, cookie).status_code for path in paths]
        for cookie in (None, "junk", ada, eve)
    }
    assert statuses == {
        None: [200, 401, 401, 401],
        "junk": [200, 401, 401, 401],
        ada: [200, 200, 403, 403],
        eve: [200, 200, 200, 403],
    }
    assert ask(app, "/edit", "junk").headers["Set-Cookie"].startswith("amplify-session=;")
    assert ask(app, "/edit").headers["WWW-Authenticate"].startswith("Cookie ")
    assert ask(app, "/edit", ada).json["title"] == "Forbidden"


def test_groups_and_the_user_id_are_principals(pool: LocalUserPool) -> None:
    app = build(pool)
    with signed_in("ada", sub="5f1c"):
        assert [ask(app, path).status_code for path in ("/own", "/edit")] == [200, 403]
    with signed_in("ada", groups=["banned", "editors"]):
        assert [ask(app, path).status_code for path in ("/view", "/edit")] == [403, 403]


def test_a_browser_is_sent_to_sign_in_and_a_user_is_told_no(pool: LocalUserPool, ada: str) -> None:
    app = build(pool, login_url="/login")
    answer = ask(app, "/edit", Accept="text/html")
    assert (answer.status_code, answer.location) == (302, "/login?next=%2Fedit")
    assert ask(app, "/edit", ada, Accept="text/html").status_code == 403


def test_a_page_behind_a_permission_is_not_kept_by_browsers(pool: LocalUserPool, ada: str) -> None:
    app = build(pool, at("/open", lambda request: Response(request.authenticated_userid or "-")))
    seen = [ask(app, path, ada).headers["Cache-Control"] for path in ("/comment", "/open")]
    assert seen == ["no-store", "private"]


def test_a_refusal_is_one_event(pool: LocalUserPool, ada: str) -> None:
    told: list[Any] = []
    app = build(pool, on_event=told.append)
    for cookie in (None, ada):
        ask(app, "/edit", cookie)
    assert [(type(event), event.reason) for event in told] == [
        (Refused, "no_session"),
        (Refused, "not_permitted"),
    ]


def test_a_view_may_forbid_in_its_own_words(pool: LocalUserPool, ada: str) -> None:
    def forbid(request: Any) -> Any:
        raise HTTPForbidden("not on Mondays")

    app = build(pool, at("/mondays", forbid))
    for cookie in (None, ada):
        answer = ask(app, "/mondays", cookie)
        assert (answer.status_code, "not on Mondays" in answer.text) == (403, True)


def test_the_apps_own_views_and_policy_come_first(pool: LocalUserPool, ada: str) -> None:
    class Strict(AmplifySecurityPolicy):
        def permits(self, request: Any, context: Any, permission: str) -> Any:
            return False

    def own(config: Any) -> None:
        config.set_security_policy(Strict())
        config.add_forbidden_view(lambda request: Response("our own", 418))

    app = build(pool, own)
    assert [ask(app, "/view", cookie).text for cookie in (None, ada)] == ["our own", "our own"]


def test_nothing_is_permitted_while_the_user_cannot_be_told(ada: str) -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        token = pool.sign_in("ada").id_token
        app = build(pool, http_timeout=0.1)
    for path in ("/view", "/comment", "/edit"):  # the pool is down, and its keys were never read
        answer = ask(app, path, token)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)


# --- sessions


def test_forget_ends_the_session_and_remember_says_how_one_starts(pool: LocalUserPool) -> None:
    def sign_in(request: Any) -> Response:
        start_session(pool.sign_in("ada"))
        with pytest.raises(ConfigurationError, match="leave it to AuthRoutes"):
            remember(request, "ada")
        return Response("in")

    def sign_out(request: Any) -> Response:
        return Response(b"out", headerlist=[("Content-Type", "text/plain"), *forget(request)])

    app = build(
        pool,
        at("/in", sign_in),
        at("/out", sign_out),
        origins=["https://app.example.com"],
    )
    browser = Client(app)
    steps = [("/comment", 401), ("/in", 200), ("/comment", 200), ("/out", 200), ("/comment", 401)]
    for path, status in steps:
        answer = browser.get(path, base_url="https://app.example.com", headers=HTTPS)
        assert answer.status_code == status, path


# --- errors


def raises(*_: Any) -> Any:
    return get_current_user().username


def in_a_view(config: Any) -> None:
    at("/x", raises)(config)


def in_an_app_with_a_view_for_all_errors(config: Any) -> None:
    at("/x", raises)(config)
    config.add_exception_view(lambda request: Response("ok"), context=Exception)


def in_an_exception_view(config: Any) -> None:
    config.add_exception_view(raises, context=HTTPNotFound)


def in_a_root_factory(config: Any) -> None:
    config.add_route("x", "/x", factory=raises)


def in_a_tween(config: Any) -> None:
    at("/x", lambda request: Response("secret"))(config)
    config.add_tween(f"{__name__}.asking", over="pyramid.tweens.excview_tween_factory")


def asking(handler: Any, registry: Any) -> Any:
    def tween(request: Any) -> Any:
        handler(request)
        return Response(get_current_user().username)

    return tween


def in_a_callback(config: Any) -> None:
    def view(request: Any) -> Response:
        request.add_response_callback(raises)
        return Response("secret")

    at("/x", view)(config)


def in_a_body(config: Any) -> None:
    def names() -> Any:
        yield get_current_user().username.encode()

    at("/x", lambda request: Response(app_iter=names()))(config)


PLACES = [
    in_a_view, in_an_app_with_a_view_for_all_errors, in_an_exception_view, in_a_root_factory,
    in_a_tween, in_a_callback, in_a_body,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_error_is_answered_wherever_it_is_raised(
    pool: LocalUserPool, place: Callable[[Any], None]
) -> None:
    answer = ask(build(pool, place), "/x", "junk")
    assert (answer.status_code, answer.json["title"]) == (401, "Unauthorized")
    assert answer.headers["Set-Cookie"].startswith("amplify-session=;")


def catching(handler: Any, registry: Any) -> Any:
    """As the debug toolbar does: a page for developers in place of what escapes."""

    def tween(request: Any) -> Any:
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001
            return Response(f"caught {error!r}", 500)

    return tween


def test_a_layer_for_developers_gets_no_refusals(pool: LocalUserPool, ada: str) -> None:
    def add(config: Any) -> None:
        at("/x", raises)(config)
        config.add_tween(f"{__name__}.catching", over="pyramid.tweens.excview_tween_factory")

    app = build(pool, add, login_url="/login")
    for path, cookie, status in (("/x", None, 401), ("/edit", None, 401), ("/edit", ada, 403)):
        assert ask(app, path, cookie).status_code == status
    answer = ask(app, "/x", Accept="text/html", Host="evil.example")
    assert (answer.status_code, answer.location) == (302, "/login?next=%2Fx")


def test_an_exception_view_of_the_apps_own_comes_first(pool: LocalUserPool) -> None:
    def own(config: Any) -> None:
        in_a_view(config)
        config.add_exception_view(
            lambda request: Response("sign in", 401), context=NotAuthorizedException
        )

    assert ask(build(pool, own), "/x").text == "sign in"


def test_where_no_middleware_is_an_error_stays_one(pool: LocalUserPool) -> None:
    def refused(request: Any) -> Any:
        raise NotAuthorizedException(reason="no_session")

    app = build(pool, at("/static/x", refused), at("/static/y", raises), ignore=["/static/*"])
    with pytest.raises(NotAuthorizedException):
        ask(app, "/static/x")
    with pytest.raises(OutsideRequestError):
        ask(app, "/static/y")
