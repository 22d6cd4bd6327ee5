"""`AuthRoutes` and its place in a configuration: what cannot work is refused, with a mend."""

from typing import Any

import pytest

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    Needs,
    SealedSession,
    StoredSession,
    TokenSession,
    UserPool,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.config.routes import ROUTES
from amplify_mw.routes import handler
from amplify_mw.sessions.seal import parse_key
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.routes.going import ORIGIN, auth_routes
from tests.sites import KEYS

POOL = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web", "domain": "auth.example.com"}


def configured(routes: Any = None, **options: Any) -> AmplifyConfig:
    return AmplifyConfig(**{**POOL, "routes": routes or auth_routes(), **options})


def raw(*keys: str) -> tuple[bytes, ...]:
    return tuple(parse_key(key) for key in keys)


def test_every_route_has_a_function() -> None:
    assert set(ROUTES) == handler.ROUTES.keys()


def test_the_defaults() -> None:
    routes = AuthRoutes(origin=ORIGIN)
    assert routes.callback_url == f"{ORIGIN}/auth/sign-in-callback"
    assert routes.sign_out_callback_url == f"{ORIGIN}/auth/sign-out-callback"
    assert routes.scope == "openid email profile aws.cognito.signin.user.admin"
    assert (routes.after_sign_in, routes.after_sign_out, routes.on_error) == ("/", "/", None)
    assert (routes.get_sign_out, routes.attempt_lifetime) == ("same-origin", 300)
    assert sorted(routes.paths) == [
        "/auth/sign-in",
        "/auth/sign-in-callback",
        "/auth/sign-out",
        "/auth/sign-out-callback",
        "/auth/sign-up",
    ]


@pytest.mark.parametrize(
    ("origin", "is_secure"),
    [
        (ORIGIN, True),
        ("https://app.example.com:8443", True),
        ("http://localhost:8000", False),
        ("http://127.0.0.1", False),
        ("http://[::1]:8000", False),
        ("http://app.localhost", False),
        ("http://app.example.com", False),  # the configuration has its say (below)
    ],
)
def test_an_origin_is_one_of_a_site(origin: str, is_secure: bool) -> None:
    assert AuthRoutes(origin=origin).is_secure is is_secure


@pytest.mark.parametrize(
    ("origin", "mend"),
    [
        ("https://app.example.com/", "write an origin, which is scheme, host and port"),
        ("https://app.example.com/auth", "write an origin"),
        ("https://user@app.example.com", "write an origin"),
        ("https://*.example.com", "write an origin"),
        ("app.example.com", "write an origin"),
        ("ftp://app.example.com", "write an origin"),
        ("", "write an origin"),
        (None, "write an origin"),
        ("https://app.example.com:port", "write an origin"),
    ],
)
def test_another_origin_is_refused(origin: Any, mend: str) -> None:
    with pytest.raises(ConfigurationError, match=mend):
        AuthRoutes(origin=origin)


@pytest.mark.parametrize("origin", ["http://app.example.com", "http://localhost.evil.example"])
def test_plain_http_is_for_this_machine(origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^AuthRoutes.origin: .* in the clear; write an"):
        configured(auth_routes(origin=origin))


EMULATOR = {"domain": "http://cognito:9229", "allow_insecure_http": True}


@pytest.mark.parametrize("origin", ["http://web:8000", "http://localhost:8000"])
def test_a_site_in_a_compose_file_may_have_an_emulator_there(origin: str) -> None:
    some = configured(auth_routes(origin=origin), **EMULATOR)
    assert some.known_origins == {origin}


@pytest.mark.parametrize("pools", [False, True])
def test_a_site_for_people_may_not(pools: bool) -> None:
    options = {"pools": [UserPool(**POOL | EMULATOR)]} if pools else POOL | EMULATOR
    with pytest.raises(ConfigurationError, match=r"^allow_insecure_http: .*'https://app.example"):
        AmplifyConfig(**options, routes=auth_routes())


def test_a_word_without_such_an_address_is_refused_there_too() -> None:
    with pytest.raises(ConfigurationError, match=r"^allow_insecure_http: .*leave it out"):
        configured(allow_insecure_http=True)


def test_https_on_this_machine_is_no_site_for_people() -> None:
    assert configured(auth_routes(origin="https://localhost:3000"), **EMULATOR).routes


WRONG: list[tuple[dict[str, Any], str]] = [
    *(
        ({"prefix": prefix}, r"^AuthRoutes.prefix: write a decoded path such as '/auth'")
        for prefix in (
            *("", "/", "auth", "/auth/", "//auth", "/a//b", "/a/../b", "/./a", "/a?b", "/a#b"),
            *("/a b", "/a%20b", "/a\\b", "/é", "https://app.example.com/auth", None, 1),
        )
    ),
    *(
        ({name: target}, rf"^AuthRoutes.{name}: write a path of this site")
        for name in ("after_sign_in", "after_sign_out", "on_error")
        for target in ("", "home", "//evil.example", "/\\evil.example", "https://evil.example",
                       "/a b", "/a\r\nb", "/é", 1)
    ),
    ({"after_sign_in": "/auth/sign-in"}, r"'/auth/sign-in' is one of the routes itself"),
    ({"after_sign_out": "/auth/sign-out?a=b"}, "is one of the routes itself"),
    ({"on_error": "/auth/sign-in"}, "is one of the routes itself"),
    ({"on_error": "/sorry#top"}, r"^AuthRoutes.on_error: the code goes into its query; drop '#'"),
    *(({"attempt_lifetime": wrong}, "attempt_lifetime") for wrong in (0, 29, 3601, "300", None)),
    *(
        ({"get_sign_out": wrong}, r"write 'same-origin', 'same-site' or 'never'")
        for wrong in ("", "always", None, True)
    ),
    ({"keys": KEYS[0]}, r"^AuthRoutes.keys: write a list, keys=\['...'\]"),
    ({"keys": ["short"]}, r"^keys: write 32 random bytes, base64url-encoded, as `amplify-mw"),
    ({"scopes": "openid"}, r"^AuthRoutes.scopes: write a list of strings"),
    ({"scopes": ["openid", 1]}, "^AuthRoutes.scopes: write a list"),
    ({"scopes": ["email"]}, "^AuthRoutes.scopes: without 'openid' nobody is signed in"),
    ({"scopes": []}, "^AuthRoutes.scopes: without 'openid'"),
    ({"redirect_sign_in": f"{ORIGIN}/auth/sign-in-callback"}, "redirect_sign_in: write a list"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "mend"), WRONG, ids=str)
def test_what_cannot_work_is_refused_by_name(options: dict[str, Any], mend: str) -> None:
    with pytest.raises(ConfigurationError, match=mend) as caught:
        auth_routes(**options)
    assert KEYS[0] not in str(caught.value)


UNLISTED: list[tuple[dict[str, Any], str]] = [
    (
        {"redirect_sign_in": [f"{ORIGIN}/auth/sign-in-callback/", "https://b.example"]},
        r"'https://app.example.com/auth/sign-in-callback' is not among the app client's "
        r"redirect_sign_in \(.*, https://b.example\): add it there, or write the origin, mount",
    ),
    ({"redirect_sign_in": []}, "is not among the app client's redirect_sign_in"),
    ({"redirect_sign_out": [f"{ORIGIN}/"]}, "sign-out-callback' is not among the app client's"),
]


@pytest.mark.parametrize(("options", "mend"), UNLISTED, ids=str)
def test_a_redirect_uri_that_the_client_does_not_allow_is_refused(
    options: dict[str, Any], mend: str
) -> None:
    with pytest.raises(ConfigurationError, match=mend):
        configured(auth_routes(**options))


@pytest.mark.parametrize("mount", ["", "/shop"])
def test_a_whole_list_with_the_right_uris_is_accepted(mount: str) -> None:
    routes = auth_routes(
        redirect_sign_in=["http://localhost:3000/", f"{ORIGIN}{mount}/auth/sign-in-callback"],
        redirect_sign_out=[f"{ORIGIN}{mount}/auth/sign-out-callback"],
    )
    assert configured(routes, mount=mount).routes == routes
    with pytest.raises(ConfigurationError, match="/else/auth/sign-in-callback' is not among"):
        configured(routes, mount="/else")
    with pytest.raises(ConfigurationError, match="/else/auth/sign-in-callback' is not among"):
        configured(routes, mount=[mount or "/", "/else"])


def test_what_is_below_the_mount_is_placed_there_once() -> None:
    routes = auth_routes(after_sign_in="/home", on_error=f"{ORIGIN}/sorry").at("/shop")
    assert routes.prefix == "/shop/auth"
    assert (routes.after_sign_in, routes.after_sign_out) == ("/shop/home", "/shop/")
    assert routes.on_error == f"{ORIGIN}/sorry"  # outside, as a whole address
    assert routes.keys == auth_routes().keys
    assert auth_routes().at("") == auth_routes()


@pytest.mark.parametrize(
    "options",
    [
        {"protect": ["/shop"]},
        {"protect": ["/*"], "public": ["/shop/open"]},
        {"ignore": ["/shop/*"]},
        {"csrf_exempt": ["/shop/hooks/*"]},
        {"login_url": "/shop/login?a=b"},
        {"routes": auth_routes(prefix="/shop/auth")},
        {"routes": auth_routes(after_sign_in="/shop")},
        {"routes": auth_routes(after_sign_out="/shop/out")},
        {"routes": auth_routes(on_error="/shop/sorry?why=")},
    ],
    ids=str,
)
def test_a_path_with_the_mount_in_front_is_refused_with_what_to_write(
    options: dict[str, Any],
) -> None:
    mend = r"begins with the mount '/shop', below which all paths are written; write '/"
    with pytest.raises(ConfigurationError, match=mend):
        configured(**{"mount": ["/", "/shop"], **options})
    assert configured(**{"mount": "/shops", **options}).mount == ("/shops",)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"domain": None}, "^routes: hosted sign-in is at the pool's domain; write domain="),
        ({"client_id": None}, "^routes: sign-in is an app client's; write client_id="),
        ({"routes": AuthRoutes}, r"^routes: write AuthRoutes\(origin='https://app.example.com'\)"),
        ({"routes": {"origin": ORIGIN}}, "^routes: write AuthRoutes"),
        ({"routes": ORIGIN}, "^routes: write AuthRoutes"),
        (
            {"routes": AuthRoutes(origin=ORIGIN)},
            r"^routes: write AuthRoutes\(keys=\['...'\]\), as `amplify-mw keygen` prints one",
        ),
        (
            {"routes": AuthRoutes(origin=ORIGIN), "session": StoredSession(MemoryStore())},
            "^routes: write AuthRoutes",
        ),
    ],
    ids=str,
)
def test_routes_need_the_rest_of_the_configuration(options: dict[str, Any], mend: str) -> None:
    with pytest.raises(ConfigurationError, match=mend):
        configured(**options)


def test_of_several_pools_the_first_is_signed_in_at() -> None:
    pools = [
        UserPool(user_pool_id="eu-west-1_First0001", client_id="a"),
        UserPool(**{**POOL, "user_pool_id": "eu-west-1_Other0001"}),
    ]
    with pytest.raises(
        ConfigurationError, match=r"^routes: hosted sign-in is at the pool's domain"
    ):
        AmplifyConfig(pools=pools, routes=auth_routes())
    assert AmplifyConfig(pools=pools[::-1], routes=auth_routes()).routes is not None


@pytest.mark.parametrize(
    ("session", "keys"),
    [
        (SealedSession(keys=KEYS[:2]), raw(*KEYS[:2])),
        ([TokenSession(), SealedSession(keys=KEYS[:1])], raw(KEYS[0])),
        ([StoredSession(MemoryStore()), SealedSession(keys=KEYS[:1])], raw(KEYS[0])),
    ],
    ids=["sealed", "second", "besides a store"],
)
def test_keys_are_the_sealed_sessions_by_default(session: Any, keys: tuple[bytes, ...]) -> None:
    routes = AuthRoutes(origin=ORIGIN)
    assert configured(routes, session=session).route_keys == keys
    own = AuthRoutes(origin=ORIGIN, keys=KEYS[2:])
    assert configured(own, session=session).route_keys == raw(*KEYS[2:])


def test_sign_in_is_the_login_page_unless_another_is_given() -> None:
    assert configured().login_url == "/auth/sign-in"
    assert configured(login_url="/login").login_url == "/login"


def test_the_login_page_goes_with_the_routes() -> None:
    config = configured()
    assert config.replace(routes=auth_routes(prefix="/in")).login_url == "/in/sign-in"
    assert config.replace(routes=None).login_url is None
    assert config.replace(protect=["/a"]).login_url == "/auth/sign-in"
    assert config.replace(routes=None, login_url="/login").login_url == "/login"
    assert configured(login_url="/login").replace(routes=None).login_url == "/login"


@pytest.mark.parametrize("origin", [ORIGIN, "https://APP.example.com", f"{ORIGIN}:443"])
def test_the_routes_origin_is_the_sites_own(origin: str) -> None:
    config = configured(auth_routes(origin=origin), origins=["https://www.example.com"])
    assert config.known_origins == {ORIGIN, "https://www.example.com"}


@pytest.mark.parametrize("middleware", [AmplifyWSGIMiddleware, AmplifyASGIMiddleware])
@pytest.mark.parametrize("ignore", ["/auth/*", "/*", "/auth/sign-out"])
def test_routes_that_are_not_looked_at_are_refused(middleware: Any, ignore: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^ignore: it covers '/auth/sign-"):
        middleware(None, configured(ignore=[ignore]))
    middleware(None, configured(ignore=["/static/*", "/auth/theme.css"]))


@pytest.mark.parametrize("middleware", [AmplifyWSGIMiddleware, AmplifyASGIMiddleware])
@pytest.mark.parametrize("protect", [["/*"], {"/sorry/": Needs(acr="urn:mfa")}, ["/sorry/*"]])
def test_a_page_of_failed_sign_ins_that_asks_for_a_sign_in_is_refused(
    middleware: Any, protect: Any
) -> None:
    config = configured(auth_routes(on_error="/sorry?why="), protect=protect)
    whole = config.replace(routes=auth_routes(on_error=f"{ORIGIN}/sorry"))
    for wrong in (config, whole):
        with pytest.raises(ConfigurationError, match=r"^protect: it covers '/sorry', AuthRoutes"):
            middleware(None, wrong)
    middleware(None, whole.replace(mount="/shop"))  # it is not this app's
    middleware(None, config.replace(public=["/sorry"]))
    middleware(None, config.replace(ignore=["/sorry"]))
    middleware(None, config.replace(login_url="/sorry"))


def test_no_repr_shows_a_key() -> None:
    config = configured(session=SealedSession(keys=KEYS[:1]))
    shown = f"{config!r} {config.routes!r}"
    assert not [key for key in KEYS if key in shown or repr(parse_key(key)) in shown]


def test_configurations_with_routes_are_values() -> None:
    assert configured() == configured()
    assert hash(configured().routes) == hash(configured().routes)
    assert configured() != configured(auth_routes(prefix="/in"))


# The session's cookie, and where browsers send it.

COVERED: dict[str, Any] = {
    "everywhere": CookiePolicy(),
    "the routes' own": CookiePolicy(path="/auth"),
    "with a slash": CookiePolicy(path="/auth/"),
    "the host": CookiePolicy(domain="app.example.com"),
    "a domain above it": CookiePolicy(domain="Example.com"),
}
UNCOVERED: dict[str, tuple[CookiePolicy, str]] = {
    "another": (CookiePolicy(path="/app"), r"prefix='/app/auth'\)"),
    "another with a slash": (CookiePolicy(path="/app/"), r"prefix='/app/auth'\)"),
    "a beginning": (CookiePolicy(path="/aut"), "write path='/'"),
    "another case": (CookiePolicy(path="/Auth"), "write path='/'"),
    "below": (CookiePolicy(path="/auth/sign-in"), "write path='/'"),
    "another domain": (CookiePolicy(domain="example.org"), "domain='app.example.com'"),
    "a sibling": (CookiePolicy(domain="www.example.com"), "domain='app.example.com'"),
    "a domain below": (CookiePolicy(domain="a.app.example.com"), "domain='app.example.com'"),
    "the end of a label": (CookiePolicy(domain="ple.com"), "domain='app.example.com'"),
}


def policy_of(kind: Any, policy: CookiePolicy) -> dict[str, Any]:
    """What configures a kind of session whose cookies have a policy's scope."""
    if kind == "amplify":
        return {"session": AmplifyCookies(domain=policy.domain, path=policy.path)}
    sessions: dict[str, Any] = {
        "token": TokenSession(),
        "sealed": SealedSession(keys=KEYS[:1]),
        "stored": StoredSession(MemoryStore()),
        "several": [StoredSession(MemoryStore()), TokenSession()],
    }
    return {"session": sessions[kind], "cookie": policy}


KINDS = ["token", "sealed", "stored", "several", "amplify"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("policy", COVERED.values(), ids=COVERED)
def test_a_cookie_that_the_routes_are_sent_is_accepted(kind: str, policy: CookiePolicy) -> None:
    assert configured(**policy_of(kind, policy)).routes is not None


@every_kind
@pytest.mark.parametrize(("policy", "mend"), UNCOVERED.values(), ids=UNCOVERED)
def test_a_cookie_that_the_routes_are_never_sent_is_refused(
    kind: str, policy: CookiePolicy, mend: str
) -> None:
    options = policy_of(kind, policy)
    assert AmplifyConfig(**POOL, **options).routes is None  # where it is nobody's mistake
    with pytest.raises(ConfigurationError, match=rf"^cookie: .*{mend}"):
        configured(**options)


def test_the_second_of_two_kinds_has_to_be_sent_there_as_well() -> None:
    kinds = [TokenSession(), AmplifyCookies(path="/app")]
    with pytest.raises(ConfigurationError, match="path '/app'"):
        configured(session=kinds)


@every_kind
def test_below_a_mount_the_cookies_path_is_the_whole_one(kind: str) -> None:
    for path in ("/", "/shop", "/shop/auth"):
        options = policy_of(kind, CookiePolicy(path=path))
        assert configured(mount="/shop", **options).mount == ("/shop",)
    with pytest.raises(ConfigurationError, match=r"at '/shop/auth', .* or path='/shop'$"):
        configured(mount="/shop", **policy_of(kind, CookiePolicy(path="/auth")))
    with pytest.raises(ConfigurationError, match=r"at '/dev/auth', "):
        configured(mount=["/shop", "/dev"], **policy_of(kind, CookiePolicy(path="/shop")))


def test_a_prefix_leaves_room_for_the_longest_path() -> None:
    longest = "/" + "a" * (1023 - len("/sign-out-callback"))
    assert auth_routes(prefix=longest).prefix == longest
    with pytest.raises(ConfigurationError, match=r"^AuthRoutes.prefix"):
        auth_routes(prefix=longest + "a")
