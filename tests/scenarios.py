"""A real request for each reason, and for each status that it is answered with.

`SCENARIOS[reason, status]` is a function of a `Stage`. It brings about what the reason is about, at
a site of the stage with a real user pool, and gives the `Scene`: the site, the request as it was
sent, its answer, and what the site's listener was told. A job has no request: see `Scene.ask`.

`RULED[reason, status]` is another one, for a reason that the app's own code brings about in
`SCENARIOS`: by a rule of the configuration or by a sign-in route, so that the request alone tells.

To add a reason: a function under `@scenario("its_name", status)`. A test that compares one more
word takes `Scene.pasted` and `Scene.site.engine`, or gives all sites `Stage.options`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import pytest

from amplify_mw import (
    AmplifyCookies,
    AuthError,
    Needs,
    StoredSession,
    acting_as,
    hand_over_user,
    require_auth,
)
from amplify_mw.events import Event, Refused, SignInFailed
from amplify_mw.reasons import Cookie
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import AuthorizeError, Body, CognitoError, Down, LocalUserPool, Status
from tests.amplify import cookies_of
from tests.certificates import Authority
from tests.proxies import fronted, proxying
from tests.routes.going import NAVIGATION, Visitor, altered, auth_routes
from tests.shells import Ask, Got, Handler, Shell
from tests.sites import DAY, HOUR, KEYS, NAME, Browser, Clock, Site, session_of

REFRESH = "GetTokensFromRefreshToken"
FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
AHEAD = {"Sec-Purpose": "prefetch"}
ORDERS = "https://orders.example.com"
AMAZON = "cognito-idp.eu-west-1.amazonaws.com"


class Watched(Site):
    """A site whose events are kept, and the requests it gets."""

    def __init__(self, *facts: Any, **options: Any) -> None:
        self.events: list[Event] = []
        self.asked: list[Ask] = []
        listeners = [self.events.append, *options.pop("on_event", ())]
        super().__init__(*facts, on_event=listeners, **options)

    def send(self, handler: Handler, ask: Ask) -> Got:
        self.asked.append(ask)
        return super().send(handler, ask)


class Scene(NamedTuple):
    """A reason at work. `ask`, `got`: the request and its answer; None in a job, which has none.

    `status`: of the answer, or of the error in a job. `events`: what the site's listener was told
    meanwhile, and since the scene before. `handed_over`: a job's text.
    """

    site: Watched
    ask: Ask | None
    got: Got | None
    status: int
    events: tuple[Event, ...]
    handed_over: str = ""

    @property
    def pasted(self) -> bytes:
        """The head of the request, as developer tools show it, or the job's text."""
        if self.ask is None:
            return self.handed_over.encode()
        query = f"?{self.ask.query}" if self.ask.query else ""
        lines = [f"{self.ask.method} {self.ask.path}{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.ask.all_headers.items()]
        return "\r\n".join(lines).encode()

    @property
    def cookie(self) -> Cookie:
        """What became of the session's cookies: "kept", "cleared" or "none" (none was sent)."""
        names = self.site.engine.authenticator.cookie.names
        sent = {} if self.ask is None else self.ask.all_headers
        if not any(f"{name}=" in sent.get("Cookie", "") for name in names):
            return "none"
        lines = [] if self.got is None else self.got.all("set-cookie")
        gone = [line for line in lines if line.partition("=")[0] in names and "Max-Age=0" in line]
        return "cleared" if gone else "kept"

    def told(self, kind: type[Refused] | type[SignInFailed]) -> list[tuple[str, int]]:
        """The reasons and statuses of the events of a kind."""
        return [(event.reason, event.status) for event in self.events if isinstance(event, kind)]


class Stage:
    """Where scenes are played: a pool, a clock, a shell. It closes the sites that it made.

    `options`: fields of the configuration of all its sites, such as a `telemetry`.
    """

    def __init__(
        self,
        shell: Shell,
        pool: LocalUserPool,
        clock: Clock,
        folder: Path,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.shell = shell
        self.patch = patch
        self.pool = pool
        self.clock = clock
        self.folder = folder
        self.options: dict[str, Any] = {}
        self.ends = ExitStack()

    def site(
        self, kind: Any = "token", *, session: Any = (), routes: Any = None, **options: Any
    ) -> Watched:
        """A site with this kind of session, or several. `routes`: options of the sign-in routes."""
        clock = options.pop("clock", self.clock)
        if isinstance(kind, str):
            kind = session_of(kind, clock, self.folder, **dict(session))
        if routes is not None:
            options["routes"] = auth_routes(**routes)
        site = Watched(self.shell, self.pool, clock, kind, **{**self.options, **options})
        self.ends.callback(site.close)
        return site

    def visitor(self, kind: str = "memory", **routes: Any) -> Visitor:
        """A visitor of a site with the sign-in routes, who has a session already."""
        site = self.site(kind, routes=routes)
        return Visitor(site, site.sign_in().jar)

    def faulty(self, place: str, fault: Any) -> None:
        """Have the pool answer this from now on."""
        self.ends.enter_context(self.pool.fault(place, fault))

    def close(self) -> None:
        """End what the stage has opened."""
        self.ends.close()


Scenario = Callable[[Stage], Scene]
SCENARIOS: dict[tuple[str, int], Scenario] = {}
RULED: dict[tuple[str, int], Scenario] = {}


def scenario(
    reason: str, status: int, among: dict[tuple[str, int], Scenario] = SCENARIOS
) -> Callable[[Scenario], Scenario]:
    """Puts a function into `SCENARIOS`, or among others."""

    def put(play: Scenario) -> Scenario:
        assert (reason, status) not in among
        among[reason, status] = play
        return play

    return put


def visit(browser: Browser, action: Any = None, **facts: Any) -> Scene:
    """Ask the site's app, which does this and lets its error pass, once."""
    assert isinstance(browser.site, Watched)
    site = browser.site
    site.events.clear()
    act = action or site.who
    return _scene(site, browser.ask(lambda: str(act()), **facts))


def _scene(site: Watched, got: Got) -> Scene:
    site.settle()
    return Scene(site, site.asked[-1], got, got.status, tuple(site.events))


def _job(site: Watched, text: str) -> Scene:
    site.events.clear()
    engine: Any = site.engine  # its clock is the site's
    try:
        with acting_as(text, engine):
            raise AssertionError("the job acts for somebody")
    except AuthError as error:
        return Scene(site, None, None, error.status_code, tuple(site.events), text)


# The cookie, or the lack of it.


@scenario("no_session", 401)
def no_session(stage: Stage) -> Scene:
    return visit(stage.site(protect=["/account"]).browser(), path="/account")


@scenario("duplicate_cookie", 401)
def two_cookies(stage: Stage) -> Scene:
    site = stage.site()
    site.events.clear()
    return _scene(site, site.send(_asking(site), Ask(cookies=f"{NAME}=one; {NAME}=other")))


def _asking(site: Site) -> Handler:
    return lambda: str(site.who())


@scenario("different_users", 401)
def two_users(stage: Stage) -> Scene:
    stored = session_of("memory", stage.clock, stage.folder)
    jar = stage.site(stored).sign_in("ada").jar
    jar |= cookies_of(stage.pool.sign_in("grace"), "grace")
    return visit(stage.site([stored, AmplifyCookies()]).browser(jar))


# A token that does not count.


def _token(token_use: Literal["id", "access"] = "id", **facts: Any) -> Scenario:
    """A visitor whose cookie is such a token."""

    def play(stage: Stage) -> Scene:
        made = {name: fact(stage) if callable(fact) else fact for name, fact in facts.items()}
        options = {"audience": ORDERS} if "aud" in made.get("claims", ()) else {}
        site = stage.site(**options)
        return visit(site.browser({NAME: stage.pool.mint("ada", token_use, **made)}))

    return play


def _our_key(stage: Stage) -> dict[str, Any]:
    return {"kid": stage.pool.jwks()["keys"][0]["kid"]}


for _reason, _play in {
    "unsupported_algorithm": _token(algorithm="HS256"),
    "wrong_issuer": _token(issuer=f"https://{AMAZON}/eu-west-1_Other0001"),
    "unknown_key": _token(key="unknown"),
    "bad_signature": _token(key="unknown", header=_our_key),
    "wrong_token_use": _token(claims={"token_use": "refresh"}),
    "wrong_client": _token(client_id="another"),
    "wrong_audience": _token("access", claims={"aud": "https://stock.example.com"}),
    "token_expired": _token(expires_in=-60),
    "missing_claim": _token(claims={"sub": None}),
}.items():
    scenario(_reason, 401)(_play)
scenario("token_not_yet_valid", 503)(_token(issued_at=lambda stage: stage.clock() + 1000))


@scenario("malformed_token", 401)
def junk(stage: Stage) -> Scene:
    return visit(stage.site().browser({NAME: "junk"}))


@scenario("keys_unavailable", 503)
def no_keys(stage: Stage) -> Scene:
    stage.faulty("jwks", Down())
    return visit(stage.site(keys=None).browser({NAME: stage.pool.mint("ada")}))


# A session that does not count.


@scenario("session_revoked", 401)
def disabled(stage: Stage) -> Scene:
    browser = stage.site("memory").sign_in()
    stage.pool.disable_user("ada")
    stage.clock.advance(HOUR + 60)
    return visit(browser)


@scenario("invalid_session", 401)
def gone_session(stage: Stage) -> Scene:
    browser = stage.site("memory").sign_in()
    browser.copy().does(browser.site.end())
    return visit(browser)


@scenario("unknown_session_key", 401)
def other_key(stage: Stage) -> Scene:
    elsewhere = stage.site("sealed", session={"keys": KEYS[1:2]}).sign_in()
    return visit(stage.site("sealed").browser(elsewhere.jar))


@scenario("session_expired", 401)
def too_old(stage: Stage) -> Scene:
    browser = stage.site("sealed").sign_in()
    stage.clock.advance(400 * DAY)
    return visit(browser)


class BrokenStore(MemoryStore):
    """A store that is down when it is told so."""

    is_down = False

    def load(self, key: bytes) -> Any:
        if self.is_down:
            raise StoreUnavailable("the disk is full")
        return super().load(key)


@scenario("store_unavailable", 503)
def no_store(stage: Stage) -> Scene:
    store = BrokenStore(clock=stage.clock)
    browser = stage.site(StoredSession(store)).sign_in()
    store.is_down = True
    return visit(browser)


# A session with a refresh that fails.


def _refresh(
    fault: Any = None, kind: str = "memory", claims: Mapping[str, Any] | None = None
) -> Scenario:
    """A visitor whose tokens have expired. `fault`: Cognito's answer to the refresh.

    `claims`: in the new ID token.
    """

    def play(stage: Stage) -> Scene:
        browser = stage.site(kind).sign_in()
        stage.clock.advance(HOUR + 60)
        if fault is not None:
            stage.faulty(REFRESH, fault)
        if claims is not None:
            stage.ends.enter_context(stage.pool.tamper(claims=claims))
        return visit(browser)

    return play


for _key, _play in {
    ("refresh_token_reused", 401): _refresh(CognitoError("RefreshTokenReuseException"), "sealed"),
    ("user_not_found", 401): _refresh(CognitoError("UserNotFoundException")),
    ("user_not_confirmed", 401): _refresh(CognitoError("UserNotConfirmedException")),
    ("password_reset_required", 401): _refresh(CognitoError("PasswordResetRequiredException")),
    ("trigger_refused", 401): _refresh(CognitoError("UserLambdaValidationException")),
    ("trigger_failed", 503): _refresh(CognitoError("UnexpectedLambdaException")),
    ("throttled", 503): _refresh(CognitoError("TooManyRequestsException")),
    ("cognito_unavailable", 503): _refresh(Status(503)),
    ("cognito_misconfigured", 503): _refresh(CognitoError("InvalidParameterException")),
    ("firewall_blocked", 503): _refresh(CognitoError("ForbiddenException")),
    ("cognito_error", 503): _refresh(CognitoError("AnErrorOfTomorrowException")),
    ("malformed_token", 503): _refresh(
        Body(b'{"AuthenticationResult":{"IdToken":"a","AccessToken":"b"}}')
    ),
    ("token_mismatch", 401): _refresh(claims={"sub": "somebody-else"}),
}.items():
    scenario(*_key)(_play)


@scenario("wrong_issuer", 503)
def other_issuer_of_the_pool(stage: Stage) -> Scene:
    browser = stage.site("memory").sign_in()
    stage.clock.advance(HOUR + 60)
    claims = {"iss": f"https://elsewhere.example.com/{stage.pool.user_pool_id}"}
    for use in ("id", "access"):
        stage.ends.enter_context(stage.pool.tamper(use, claims=claims))
    return visit(browser)


@scenario("token_expired", 503)
def clock_ahead(stage: Stage) -> Scene:
    ours = Clock()
    browser = stage.site("memory", clock=ours).sign_in()
    ours.advance(HOUR + 300)
    return visit(browser)


@scenario("token_too_large", 503)
def many_groups(stage: Stage) -> Scene:
    browser = stage.site("memory", session={"max_token_bytes": 4096}).sign_in()
    stage.clock.advance(HOUR + 60)
    stage.ends.enter_context(stage.pool.tamper("id", claims={"custom:note": "x" * 5000}))
    return visit(browser)


@scenario("client_not_found", 401)
def deleted_client(stage: Stage) -> Scene:
    """Only Amazon's own endpoint is believed, which is this pool behind a proxy."""
    pool, host = stage.pool, AMAZON
    pool.issuer = f"https://{host}/{pool.user_pool_id}"
    authority = Authority(stage.folder)
    stage.patch.setenv("SSL_CERT_FILE", str(authority.path))
    port = stage.ends.enter_context(fronted(urlsplit(pool.url).port or 0, authority.issue(host)))
    proxy = stage.ends.enter_context(proxying({host: port}))
    at_amazon = {"endpoint_url": None, "issuer": None, "proxy": proxy.url}
    browser = stage.site("memory", **at_amazon).sign_in()
    stage.clock.advance(HOUR + 60)
    said = f"User pool client {pool.client_id} does not exist."
    stage.faulty(REFRESH, CognitoError("ResourceNotFoundException", said))
    return visit(browser)


# What only the app meets: verbs.


def _verb(act: Callable[[Watched], Any], fault: CognitoError | None = None) -> Scenario:
    """A visitor with a token, whose app calls a verb. `fault`: GetUser's answer to it."""

    def play(stage: Stage) -> Scene:
        if fault is not None:
            stage.faulty("GetUser", fault)
        site = stage.site("memory")
        return visit(site.sign_in(), lambda: act(site))

    return play


def _attributes(site: Watched) -> object:
    return site.verbs.fetch_user_attributes()


for _key, _play in {
    ("user_not_confirmed", 403): _verb(_attributes, CognitoError("UserNotConfirmedException")),
    ("password_reset_required", 403): _verb(
        _attributes, CognitoError("PasswordResetRequiredException")
    ),
    ("cognito_error", 500): _verb(_attributes, CognitoError("AnErrorOfTomorrowException")),
    ("cognito_misconfigured", 500): _verb(_attributes, CognitoError("InvalidParameterException")),
}.items():
    scenario(*_key)(_play)


@scenario("missing_token", 401)
def one_token(stage: Stage) -> Scene:
    site = stage.site("memory")
    access_token = stage.pool.sign_in("ada").access_token
    return visit(site.sign_in(), site.start({"access_token": access_token}))


@scenario("not_refreshable", 401)
def no_refresh_token(stage: Stage) -> Scene:
    browser = stage.site("token").sign_in()
    return visit(browser, browser.site.refresh)


@scenario("missing_scope", 401)
def attributes_without_scope(stage: Stage) -> Scene:
    site = stage.site()
    token = stage.pool.mint("ada", "access", claims={"scope": "openid"})
    return visit(site.browser({NAME: token}), site.verbs.fetch_user_attributes)


@scenario("cross_site", 403)
def ended_by_another_site(stage: Stage) -> Scene:
    browser = stage.site("memory").sign_in()
    return visit(browser, browser.site.end(), headers=FOREIGN)


@scenario("speculative_request", 403)
def ended_ahead(stage: Stage) -> Scene:
    browser = stage.site("memory").sign_in()
    return visit(browser, browser.site.end(), headers=AHEAD)


@scenario("foreign_origin", 403)
def posted_by_another_site(stage: Stage) -> Scene:
    return visit(stage.site("memory").sign_in(), method="POST", headers=FOREIGN)


# Guards.


def _page() -> str:
    return "page"


def _says_no(user: object) -> bool:
    return False


def _guard(**needs: Any) -> Scenario:
    """A visitor of a guarded function."""

    def play(stage: Stage) -> Scene:
        browser = stage.site("memory").sign_in()
        stage.clock.advance(120)
        return visit(browser, require_auth(**needs)(_page))

    return play


def _path(**needs: Any) -> Scenario:
    """A visitor of a path with such needs."""

    def play(stage: Stage) -> Scene:
        browser = stage.site("memory", protect={"/orders/*": Needs(**needs)}).sign_in()
        stage.clock.advance(120)
        return visit(browser, _page, path="/orders/1")

    return play


_NEEDS: dict[tuple[str, int], dict[str, Any]] = {
    ("missing_group", 403): {"groups": ["admins"]},
    ("missing_scope", 403): {"scopes": ["orders/write"]},
    ("unmet_claim", 403): {"claims": {"custom:plan": "pro"}},
    ("not_permitted", 403): {"check": _says_no},
    ("not_fresh", 401): {"fresh": 60},
    ("acr_too_low", 401): {"acr": ["urn:mfa"]},
}
for _key, _needs in _NEEDS.items():
    scenario(*_key)(_guard(**_needs))
    scenario(*_key, RULED)(_path(**_needs))


def _route(path: str, headers: Mapping[str, str]) -> Scenario:
    """A visitor of a sign-in route."""

    def play(stage: Stage) -> Scene:
        return visit(stage.visitor(), path=path, headers={**NAVIGATION, **headers})

    return play


for _key, _play in {
    ("cross_site", 403): _route("/auth/sign-out", {"Sec-Fetch-Site": "cross-site"}),
    ("speculative_request", 403): _route("/auth/sign-in", AHEAD),
}.items():
    scenario(*_key, RULED)(_play)


# The Authorization header.


def _bearer(stage: Stage, **claims: Any) -> dict[str, str]:
    return {"Authorization": "Bearer " + stage.pool.mint("ada", "access", claims=claims)}


@scenario("malformed_header", 400)
def two_tokens(stage: Stage) -> Scene:
    headers = {"Authorization": "Bearer one other"}
    return visit(stage.site(bearer=True).browser(), headers=headers)


@scenario("different_credentials", 400)
def cookie_and_header(stage: Stage) -> Scene:
    browser = stage.site("memory", bearer=True).sign_in("grace")
    return visit(browser, headers=_bearer(stage))


@scenario("bearer_request", 400)
def session_by_header(stage: Stage) -> Scene:
    site = stage.site("memory", bearer=True)
    return visit(site.browser(), site.end(), headers=_bearer(stage))


@scenario("bearer_request", 400, RULED)
def sign_in_by_header(stage: Stage) -> Scene:
    site = stage.site("memory", bearer=True, routes={})
    return visit(site.browser(), path="/auth/sign-in", headers=_bearer(stage))


def _machine(stage: Stage) -> dict[str, Any]:
    claims = {"scope": "orders/write", "username": None, "origin_jti": None, "event_id": None}
    return {"headers": _bearer(stage, sub=stage.pool.client_id, **claims)}


@scenario("not_a_person", 403)
def machine(stage: Stage) -> Scene:
    return visit(stage.site(bearer=True).browser(), **_machine(stage))


@scenario("not_a_person", 403, RULED)
def machine_at_a_users_path(stage: Stage) -> Scene:
    site = stage.site(bearer=True, protect=["/account"])
    return visit(site.browser(), path="/account", **_machine(stage))


# Jobs.


def _handed(site: Watched, **options: Any) -> str:
    return site.sign_in().ask(lambda: hand_over_user(**options)).body


@scenario("invalid_handover", 401)
def changed_text(stage: Stage) -> Scene:
    site = stage.site("memory", handover_keys=KEYS[:1])
    return _job(site, _handed(site)[:-4] + "AAAA")


@scenario("handover_expired", 401)
def late_job(stage: Stage) -> Scene:
    site = stage.site("memory", handover_keys=KEYS[:1])
    text = _handed(site, expires_in=600)
    stage.clock.advance(601)
    return _job(site, text)


# Sign-ins that fail.


def _way_back(visitor: Visitor, **asked: str) -> str:
    # Without a wish, a user who is signed in is sent home at once.
    return visitor.site.pool.authorize(visitor.leave(**(asked or {"prompt": "login"})), "ada")


def _come_back(visitor: Visitor, back: str) -> Scene:
    assert isinstance(visitor.site, Watched)
    visitor.site.events.clear()
    return _scene(visitor.site, visitor.come_back(back))


def _told(error: AuthorizeError) -> Scenario:
    """The pool sends the browser back with an error."""

    def play(stage: Stage) -> Scene:
        visitor = stage.visitor()
        stage.faulty("authorize", error)
        return _come_back(visitor, _way_back(visitor))

    return play


def _endpoint(fault: Any) -> Scenario:
    """The token endpoint gives no tokens."""

    def play(stage: Stage) -> Scene:
        visitor = stage.visitor()
        stage.faulty("token", fault)
        return _come_back(visitor, _way_back(visitor))

    return play


def _wrong(claims: dict[str, Any], kind: str = "memory", **asked: str) -> Scenario:
    """The pool gives a token of these claims."""

    def play(stage: Stage) -> Scene:
        visitor = stage.visitor(kind)
        stage.ends.enter_context(stage.pool.tamper(claims=claims))
        return _come_back(visitor, _way_back(visitor, **asked))

    return play


def _refused_by_app(error: Exception) -> Scenario:
    def refuse(sign_in: object) -> None:
        raise error

    def play(stage: Stage) -> Scene:
        visitor = stage.visitor(on_sign_in=refuse)
        return _come_back(visitor, _way_back(visitor))

    return play


for _key, _play in {
    ("access_denied", 403): _told(AuthorizeError("access_denied")),
    ("provider_error", 502): _told(AuthorizeError("invalid_scope")),
    ("code_rejected", 400): _endpoint(CognitoError("invalid_grant")),
    ("provider_unavailable", 503): _endpoint(Status(503)),
    ("provider_misconfigured", 502): _endpoint(CognitoError("invalid_client")),
    ("token_refused", 502): _wrong({"aud": "another"}),
    ("session_too_large", 500): _wrong({"custom:note": "x" * 4000}, "token"),
    ("sign_in_too_old", 403): _wrong({"auth_time": 1}, max_age="60"),
    ("sign_in_too_weak", 403): _wrong({"acr": None}, acr_values="urn:mfa"),
    ("sign_in_denied", 403): _refused_by_app(PermissionError("no")),
    ("sign_in_error", 500): _refused_by_app(RuntimeError("broken")),
}.items():
    scenario(*_key)(_play)


@scenario("issuer_mismatch", 400)
def mixed_up(stage: Stage) -> Scene:
    visitor = stage.visitor()
    return _come_back(visitor, altered(_way_back(visitor), iss="https://evil.example"))


@scenario("attempt_expired", 400)
def lost_attempt(stage: Stage) -> Scene:
    visitor = stage.visitor()
    stage.faulty("authorize", AuthorizeError("access_denied"))
    return _come_back(Visitor(visitor.site), _way_back(visitor))


@scenario("bad_request", 400)
def no_sign_in(stage: Stage) -> Scene:
    visitor = stage.visitor()
    return _come_back(visitor, "/auth/sign-in-callback?state=nothing")


@scenario("duplicate_cookie", 409)
def two_cookies_at_sign_in(stage: Stage) -> Scene:
    site = stage.site(routes={})
    tried = auth_routes().tried.setting("1").partition(";")[0]
    ask = Ask("/auth/sign-in", cookies=f"{NAME}=one; {NAME}=other; {tried}", headers=NAVIGATION)
    site.events.clear()
    return _scene(site, site.send(lambda: "the app", ask))
