"""Flask's `AmplifyAuth`: `current_user`, answers to errors wherever they are raised, signals."""

import copy
import gc
import json
import logging
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    has_app_context,
    render_template_string,
    stream_template_string,
)
from flask_login import LoginManager
from flask_restx import Api, Resource  # type: ignore[import-untyped]
from quart import Quart
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    ConfigurationError,
    NotAuthorizedException,
    OutsideRequestError,
    RequestUser,
    SealedSession,
    StoredSession,
    aio,
    carry,
    end_session,
    fetch_auth_session,
    get_current_user,
    require_auth,
    start_session,
)
from amplify_mw.events import Event, Refused, Revoked, SignedIn, SignedOut
from amplify_mw.integrations.flask import (
    AmplifyAuth,
    current_user,
    handle_auth_errors,
    request_refused,
    session_refreshed,
    session_revoked,
    user_signed_in,
    user_signed_out,
)
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.frameworks.conftest import USERS
from tests.patience import PATIENCE

HTTPS: dict[str, Any] = {"base_url": "https://app.example.com", "headers": {
    "Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin",
}}  # fmt: skip


@pytest.fixture
def app(pool: LocalUserPool) -> Flask:
    """With the extension, and `/` that says who is there."""
    app = Flask(__name__)
    AmplifyAuth(app, pool.config())
    app.add_url_rule("/", "at /", view_func=lambda: str(current_user) or "nobody")
    return app


def ask(app: Flask, path: str = "/", cookie: str | None = None, **headers: str) -> Any:
    sent = headers if cookie is None else {**headers, "Cookie": f"amplify-session={cookie}"}
    return app.test_client(use_cookies=False).get(path, headers=sent)


# --- the proxy


def test_the_proxy_is_the_user_of_each_request(app: Flask, ada: str, pool: LocalUserPool) -> None:
    seen = [ask(app, cookie=cookie).text for cookie in (ada, None, pool.sign_in("bob").id_token)]
    assert seen == ["ada", "nobody", "bob"]


def test_threads_see_their_own_users(app: Flask, pool: LocalUserPool) -> None:
    app.add_url_rule("/stream", "stream", view_func=lambda: Response(map(str, [current_user] * 3)))
    tokens = {pool.sign_in(name).id_token: name for name in USERS}

    def see(token: str) -> list[str]:
        return [ask(app, path, token).text for path in ("/", "/stream", "/")]

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(see, [*tokens] * 3))
    assert seen == [[name, 3 * name, name] for name in tokens.values()] * 3


def test_the_proxy_has_what_a_user_has(app: Flask, pool: LocalUserPool) -> None:
    @app.get("/all")
    def everything() -> dict[str, Any]:
        assert isinstance(current_user, RequestUser)
        return {"is_in": current_user.has_group("editors"), "user": current_user.to_dict()}

    answer = ask(app, "/all", pool.sign_in("eve").id_token).json
    assert (answer["is_in"], answer["user"]["username"]) == (True, "eve")


@pytest.mark.parametrize(
    "use",
    [bool, str, lambda user: user.username, lambda user: user.is_authenticated],
    ids=["bool", "str", "username", "is_authenticated"],
)
def test_outside_a_request_the_proxy_never_looks_like_a_visitor(
    app: Flask, use: Callable[[Any], object]
) -> None:
    with app.app_context(), pytest.raises(OutsideRequestError):
        use(current_user)
    with app.test_request_context(), pytest.raises(OutsideRequestError):
        use(current_user)


def test_a_request_that_is_over_has_left_no_user_behind(app: Flask, ada: str) -> None:
    """In a copy of its context, as threads and queues keep them; `carry` takes the user along."""
    kept: list[Any] = []

    @app.get("/keep")
    def keep() -> str:
        kept.extend([copy_context(), carry(lambda: current_user.username)])
        return str(kept[0].run(str, current_user))

    with app.test_client(use_cookies=False) as client:  # it keeps Flask's own context, too
        assert client.get("/keep", headers={"Cookie": f"amplify-session={ada}"}).text == "ada"
        for use in (bool, str, lambda user: user.username):
            with pytest.raises(OutsideRequestError):
                kept[0].run(use, current_user)
            with pytest.raises(OutsideRequestError):
                use(current_user)
        assert kept[1]() == "ada"


def test_the_proxy_is_itself_when_copied(ada: str) -> None:
    with signed_in("ada"):
        assert copy.copy(current_user) is copy.deepcopy(current_user) is current_user
        assert pickle.loads(pickle.dumps(current_user)) is current_user
    assert repr(current_user) == "<current_user>"


def test_a_command_outside_of_a_request_is_told_so(app: Flask) -> None:
    @app.cli.command("who")
    def who() -> None:
        current_user.username  # noqa: B018

    result = app.test_cli_runner().invoke(args=["who"])
    assert isinstance(result.exception, OutsideRequestError)


def test_a_user_of_a_test_is_the_proxys(app: Flask) -> None:
    with signed_in("ada"):
        assert ask(app).text == "ada"


def test_async_views_see_the_user(app: Flask, ada: str) -> None:
    @app.get("/async")
    async def awaited() -> str:
        assert (await aio.get_current_user()).username == current_user.username
        return current_user.username

    assert ask(app, "/async", ada).text == "ada"
    assert ask(app, "/async").status_code == 401


# --- templates

HELLO = "{% if current_user %}Hello {{ current_user }}{% else %}Hello, stranger{% endif %}"


def test_templates_have_the_user(app: Flask, ada: str) -> None:
    app.add_url_rule("/page", "at /page", view_func=lambda: render_template_string(HELLO))
    app.add_url_rule("/stream", "at /stream", view_func=lambda: stream_template_string(HELLO))
    for path in ("/page", "/stream"):
        assert [ask(app, path, cookie).text for cookie in (ada, None)] == [
            "Hello ada",
            "Hello, stranger",
        ]


def test_templates_of_error_handlers_have_the_user(app: Flask, ada: str) -> None:
    app.register_error_handler(404, lambda error: (render_template_string(HELLO), 404))
    assert ask(app, "/nothing", ada).text == "Hello ada"
    assert ask(app, "/nothing").text == "Hello, stranger"


def test_a_template_outside_of_a_request_is_told_so(app: Flask) -> None:
    with app.app_context(), pytest.raises(OutsideRequestError):
        render_template_string(HELLO)


def test_flask_login_beside_it_keeps_its_name_in_templates(pool: LocalUserPool) -> None:
    """By `add_context_processor=False` of either; then `current_user` is the other's."""
    for ours, theirs, expected in ((False, True, "False"), (True, False, "ada")):
        app = Flask(__name__)
        app.secret_key = "for a test"
        AmplifyAuth(app, pool.config(), add_context_processor=ours)
        manager = LoginManager()
        manager.init_app(app, add_context_processor=theirs)
        manager.user_loader(lambda name: None)
        text = "{{ current_user.is_authenticated if login else current_user.username }}"
        page: Any = lambda text=text, theirs=theirs: render_template_string(text, login=theirs)  # noqa: E731
        app.add_url_rule("/", "at /", view_func=page)
        assert ask(app, cookie=pool.sign_in("ada").id_token).text == expected


# --- errors, wherever they are raised


def raises(*_: Any) -> Any:
    return current_user.username  # nobody has one


def in_before_request(app: Flask) -> None:
    app.before_request(raises)


def in_a_view(app: Flask) -> None:
    app.add_url_rule("/x", "at /x", view_func=raises)


def in_a_template(app: Flask) -> None:
    app.add_url_rule(
        "/x", "at /x", view_func=lambda: render_template_string("{{ current_user.to_dict() }}")
    )


def in_a_blueprint(app: Flask) -> None:
    admin = Blueprint("admin", __name__)
    admin.before_request(require_auth(lambda: None))
    admin.add_url_rule("/x", "at /x", view_func=lambda: "secret")
    app.register_blueprint(admin)


def in_an_error_handler(app: Flask) -> None:
    app.register_error_handler(404, raises)


def in_a_handler_for_all_errors(app: Flask) -> None:
    app.register_error_handler(Exception, raises)


def in_its_own_error_handler(app: Flask) -> None:
    app.add_url_rule("/x", "at /x", view_func=raises)
    app.register_error_handler(NotAuthorizedException, raises)


def in_after_request(app: Flask) -> None:
    app.add_url_rule("/x", "at /x", view_func=lambda: "secret")
    app.after_request(raises)


def in_a_teardown(app: Flask) -> None:
    app.add_url_rule("/x", "at /x", view_func=lambda: "secret")
    app.teardown_request(raises)


def in_the_first_step_of_a_stream(app: Flask) -> None:
    def secrets() -> Any:
        yield current_user.username

    app.add_url_rule("/x", "at /x", view_func=lambda: Response(secrets()))


def in_a_view_beside_a_handler_for_all_errors(app: Flask) -> None:
    app.add_url_rule("/x", view_func=raises)
    app.register_error_handler(Exception, lambda error: "secret")


def in_a_resource_of_flask_restx(app: Flask) -> None:
    class Secret(Resource):  # type: ignore[misc]  # it has no types
        def get(self) -> dict[str, str]:
            return {"secret": current_user.username}

    Api(app).add_resource(Secret, "/x")


def before_a_resource_of_flask_restx(app: Flask) -> None:
    in_a_resource_of_flask_restx(app)
    app.before_request(raises)


PLACES = [
    in_a_view_beside_a_handler_for_all_errors,
    in_a_resource_of_flask_restx,
    before_a_resource_of_flask_restx,
    in_before_request, in_a_view, in_a_template, in_a_blueprint, in_an_error_handler,
    in_a_handler_for_all_errors, in_its_own_error_handler, in_after_request, in_a_teardown,
    in_the_first_step_of_a_stream,
]  # fmt: skip
SETTINGS: list[dict[str, bool]] = [
    {},
    {"TESTING": True},
    {"DEBUG": True},
    {"PROPAGATE_EXCEPTIONS": True},
    {"PROPAGATE_EXCEPTIONS": False, "DEBUG": True},
    {"TRAP_HTTP_EXCEPTIONS": True, "TRAP_BAD_REQUEST_ERRORS": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_error_is_answered_wherever_it_is_raised(
    app: Flask, place: Callable[[Flask], None], settings: dict[str, bool]
) -> None:
    app.config.update(settings)
    place(app)
    if place is in_an_error_handler and settings.get("TRAP_HTTP_EXCEPTIONS"):
        return  # Flask asks no handler for a 404 then
    answer = ask(app, "/x", "junk")
    assert (answer.status_code, answer.json["title"]) == (401, "Unauthorized")
    assert answer.headers["Set-Cookie"].startswith("amplify-session=;")
    assert "secret" not in answer.text


def test_a_handler_of_the_apps_own_comes_first(app: Flask) -> None:
    in_a_view(app)
    app.register_error_handler(NotAuthorizedException, lambda error: ("please sign in", 401))
    assert ask(app, "/x").text == "please sign in"


def test_a_handler_without_an_answer_lets_nobody_in(app: Flask) -> None:
    app.register_error_handler(AuthError, lambda error: None)
    app.before_request(raises)
    app.add_url_rule("/x", view_func=lambda: "secret")
    answer = ask(app, "/x")
    assert (answer.status_code, "secret" in answer.text) == (500, False)


def test_extensions_in_any_order_leave_errors_to_flasks_handlers(pool: LocalUserPool) -> None:
    for is_first in (True, False):
        app = Flask(__name__)
        if is_first:
            AmplifyAuth(app, pool.config())
        in_a_resource_of_flask_restx(app)
        if not is_first:
            AmplifyAuth(app, pool.config())
        assert ask(app, "/x").status_code == 401


@pytest.mark.parametrize("times", [1, 2])
def test_a_layer_that_logs_and_tries_again_lets_nobody_in(
    pool: LocalUserPool, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    """Between the middleware and Flask: it swallows whatever gets there."""
    app = Flask(__name__)
    app.testing = True  # so that errors leave Flask
    in_a_teardown(app)
    flask = app.wsgi_app

    def again(environ: Any, start_response: Any) -> Any:
        for _ in range(times):
            try:
                return flask(environ, start_response)
            except Exception:
                logging.getLogger("again").exception("once more")
        start_response("500 Internal Server Error", [], sys.exc_info())
        return [b"sorry"]

    app.wsgi_app = again  # type: ignore[method-assign]
    AmplifyAuth(app, pool.config())
    token = pool.mint("ada", expires_in=-60)
    answer = ask(app, "/x", token)
    assert (answer.status_code, answer.text) == (500, "sorry")
    assert answer.headers["Set-Cookie"].startswith("amplify-session=;")
    assert not [part for part in token.split(".") if part in caplog.text]


def test_where_no_middleware_is_an_error_stays_one(pool: LocalUserPool) -> None:
    app = Flask(__name__)
    AmplifyAuth(app, pool.config(), ignore=["/static/*"])

    @app.get("/static/x")
    def refused() -> str:
        raise NotAuthorizedException(reason="no_session")

    @app.get("/static/y")
    def outside() -> str:
        return get_current_user().username

    assert ask(app, "/static/x").status_code == ask(app, "/static/y").status_code == 500


def test_the_debuggers_page_holds_no_token(app: Flask, pool: LocalUserPool) -> None:
    app.debug = True

    @app.get("/fails")
    def fails() -> str:
        user, cookie = current_user, current_user.user  # noqa: F841
        raise ZeroDivisionError

    token = pool.sign_in("ada").id_token
    client = Client(DebuggedApplication(app, pin_security=False), use_cookies=False)
    answer = client.get("/fails", headers={"Cookie": f"amplify-session={token}"})
    assert (answer.status_code, "ZeroDivisionError" in answer.text) == (500, True)
    for part in token.split("."):
        assert part not in answer.text


# --- set-up


def test_a_factory_makes_two_apps_of_one_extension(pool: LocalUserPool, ada: str) -> None:
    auth = AmplifyAuth(login_url="/login")
    apps = []
    for paths in (["/one"], ["/two"]):
        app = Flask(__name__)
        auth.init_app(app, pool.config(), protect=paths)
        for path in ("/one", "/two"):
            app.add_url_rule(path, path, view_func=lambda: str(current_user) or "nobody")
        apps.append(app)
    seen = [ask(app, path).status_code for app in apps for path in ("/one", "/two")]
    assert seen == [401, 200, 200, 401]
    assert ask(apps[0], "/one", Accept="text/html").location == "/login?next=%2Fone"
    assert [ask(app, "/one", ada).text for app in apps] == ["ada", "ada"]


def test_the_configuration_may_come_from_the_apps_own(
    pool: LocalUserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pool.config()
    options = {"USER_POOL_ID": pool.user_pool_id, "CLIENT_ID": pool.client_id,
               "endpoint_url": pool.url, "issuer": pool.issuer}  # fmt: skip
    path = tmp_path / "amplify_outputs.json"
    path.write_text('{"auth": {"user_pool_id": "eu-west-1_Ab12Cd34E", "user_pool_client_id": "x",'
                    ' "aws_region": "eu-west-1"}, "version": "1"}')  # fmt: skip
    monkeypatch.setenv("FLASK_AMPLIFY_MW__USER_POOL_ID", "eu-west-1_Ab12Cd34E")
    monkeypatch.setenv("FLASK_AMPLIFY_MW__CLIENT_ID", "x")
    monkeypatch.setenv("FLASK_AMPLIFY_MW__PUBLIC", '["/"]')
    reader = Flask(__name__)
    reader.config.from_prefixed_env()
    for setting in (config, options, str(path), path, reader.config["AMPLIFY_MW"]):
        app = Flask(__name__)
        app.config["AMPLIFY_MW"] = setting
        AmplifyAuth(app, protect=["/private"])
        app.add_url_rule("/", "at /", view_func=lambda: str(current_user) or "nobody")
        assert (ask(app).text, ask(app, "/private").status_code) == ("nobody", 401)


def test_an_argument_comes_before_the_apps_own_configuration(pool: LocalUserPool) -> None:
    app = Flask(__name__)
    app.config["AMPLIFY_MW"] = object()
    AmplifyAuth(app, pool.config())
    assert isinstance(app.wsgi_app, AmplifyWSGIMiddleware)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (None, "config: it is missing; write AmplifyAuth(app, config)"),
        (3, "config: got int; write AmplifyAuth(app, config)"),
        ({"USER_POOL": "eu-west-1_Ab12Cd34E"}, "did you mean to write 'user_pool"),
    ],
)
def test_a_wrong_configuration_says_what_to_write(setting: Any, told: str) -> None:
    app = Flask(__name__)
    app.config["AMPLIFY_MW"] = setting
    with pytest.raises(ConfigurationError) as raised:
        AmplifyAuth(app)
    assert told in str(raised.value)
    assert not isinstance(app.wsgi_app, AmplifyWSGIMiddleware)


def test_a_second_one_is_an_error_that_says_what_to_write(app: Flask, pool: LocalUserPool) -> None:
    with pytest.raises(ConfigurationError, match="only once"):
        AmplifyAuth(app, pool.config())
    with pytest.raises(ConfigurationError, match=r"AmplifyAuth\(config=config\)"):
        AmplifyAuth(pool.config())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="write a Flask app; got Quart"):
        AmplifyAuth(Quart(__name__), pool.config())  # type: ignore[arg-type]
    by_hand = Flask(__name__)
    by_hand.wsgi_app = AmplifyWSGIMiddleware(by_hand.wsgi_app, pool.config())  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match="leave that line out"):
        AmplifyAuth(by_hand, pool.config())


def test_an_app_is_freed(pool: LocalUserPool) -> None:
    app = Flask(__name__)
    AmplifyAuth(app, pool.config(on_event=lambda event: None))
    assert ask(app, "/").status_code == 404
    freed = weakref.ref(app)
    del app
    gc.collect()
    assert freed() is None


def test_handle_auth_errors_alone_answers_the_same(pool: LocalUserPool) -> None:
    for place in PLACES:
        app = Flask(__name__)
        handle_auth_errors(app)
        app.context_processor(lambda: {"current_user": current_user})
        place(app)
        app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, pool.config())  # type: ignore[method-assign]
        assert ask(app, "/x").status_code == 401


# --- signals


def session_app(config: AmplifyConfig, tokens: Callable[[], Any]) -> Flask:
    app = Flask(__name__)
    AmplifyAuth(app, config)

    @app.post("/in")
    def sign_in() -> str:
        return start_session(tokens()).username

    @app.post("/out")
    def sign_out() -> str:
        end_session()
        return ""

    app.add_url_rule("/me", "at /me", view_func=require_auth(lambda: current_user.username))
    return app


def test_signals_tell_of_the_apps_own_events(pool: LocalUserPool) -> None:
    """Of two apps with equal configurations, which share all caches."""
    config = pool.config(origins=["https://app.example.com"])
    apps = [session_app(config, lambda: pool.sign_in("ada")) for _ in range(2)]
    told: list[tuple[str, object, Event]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda sender, event: told.append((name, sender, event))

    receivers = [note("in"), note("out"), note("refused")]
    signals = [user_signed_in, user_signed_out, request_refused]
    for signal, receiver in zip(signals, receivers, strict=True):
        signal.connect(receiver)
    client, other = (app.test_client() for app in apps)
    assert client.post("/in", **HTTPS).text == "ada"
    assert other.get("/me").status_code == 401
    client.post("/out", **HTTPS)
    assert [(name, sender) for name, sender, _ in told] == [
        ("in", apps[0]),
        ("refused", apps[1]),
        ("out", apps[0]),
    ]
    events = [event for _, _, event in told]
    assert [type(event) for event in events] == [SignedIn, Refused, SignedOut]
    assert isinstance(events[0], SignedIn)
    assert events[0].by == "app"
    for signal, receiver in zip(signals, receivers, strict=True):
        signal.disconnect(receiver)


def test_work_on_the_librarys_own_threads_has_the_app_as_its_sender(pool: LocalUserPool) -> None:
    """A refresh, and a revocation, which nobody waits for."""
    config = pool.config(
        session=SealedSession(keys=[b"k" * 32]), origins=["https://app.example.com"]
    )
    app, other = (session_app(config, lambda: pool.sign_in("ada")) for _ in range(2))

    @app.post("/refresh")
    def refresh() -> str:
        fetch_auth_session(force_refresh=True)
        return ""

    told: list[tuple[str, object]] = []
    is_revoked = threading.Event()

    def note(sender: Flask, event: Event) -> None:
        assert not has_app_context() or current_app == sender
        told.append((type(event).__name__, sender))
        if isinstance(event, Revoked):
            is_revoked.set()

    client = app.test_client()
    with session_refreshed.connected_to(note), session_revoked.connected_to(note):
        for path in ("/in", "/refresh", "/out"):
            assert client.post(path, **HTTPS).status_code == 200
        assert is_revoked.wait(PATIENCE)
    assert told == [("Refreshed", app), ("Revoked", app)]
    assert other.extensions["amplify_mw"] is not app.extensions["amplify_mw"]


def test_a_receiver_of_one_app_hears_nothing_of_another(pool: LocalUserPool) -> None:
    apps = [session_app(pool.config(), lambda: None) for _ in range(2)]
    heard: list[Event] = []
    with request_refused.connected_to(lambda app, event: heard.append(event), sender=apps[1]):
        ask(apps[0], "/me")
        assert heard == []
        ask(apps[1], "/me")
    assert [type(event) for event in heard] == [Refused]


def test_the_apps_own_listener_is_told_first_whatever_it_raises(
    pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def listener(event: Event) -> None:
        told.append("on_event")
        raise ZeroDivisionError

    app = session_app(pool.config(on_event=listener), lambda: None)
    with request_refused.connected_to(lambda app, event: told.append("signal"), sender=app):
        assert ask(app, "/me").status_code == 401
    assert told == ["on_event", "signal"]
    assert "on_event has failed" in caplog.text


def test_an_error_of_a_receiver_fails_no_request(
    pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    def receiver(app: Flask, event: Event) -> None:
        raise AuthError(reason="no_session")

    app = session_app(pool.config(), lambda: None)
    with request_refused.connected_to(receiver, sender=app):
        assert ask(app, "/me").status_code == 401
    assert "on_event has failed" in caplog.text


# --- the command


def test_the_command_says_what_the_doctor_says_of_the_apps_configuration(
    pool: LocalUserPool,
) -> None:
    def run(*options: str, **changed: Any) -> Any:
        app = Flask(__name__)
        AmplifyAuth(app, pool.config(), **changed)
        return app.test_cli_runner().invoke(args=["amplify-mw", "doctor", *options])

    stored = StoredSession(MemoryStore())
    wrong = run("--json", protect=["/users/<name>"], session=stored)
    names = {line["name"]: line["outcome"] for line in json.loads(wrong.output)["checks"]}
    assert (names["patterns"], names["store_sharing"]) == ("wrong", "warning")
    assert wrong.exit_code == 1
    mended = run("--offline", protect=["/users/*"], login_url="/login", session=stored)
    assert "store_sharing" not in mended.output
    assert "wrong" not in mended.output
    assert mended.exit_code == 0


def test_the_command_says_why_a_credential_is_refused_by_the_app(pool: LocalUserPool) -> None:
    app = Flask(__name__)
    AmplifyAuth(app, pool.config())
    _ = pool.add_user("ivy")
    token = pool.sign_in("ivy").access_token
    for data, status in ((token, 0), (token[:-9] + "AAAAAAAAA", 1)):
        ran = app.test_cli_runner().invoke(args=["amplify-mw", "inspect"], input=data)
        assert (ran.exit_code, data in ran.output) == (status, False)
