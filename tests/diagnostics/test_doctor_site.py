"""`doctor` on the site's own settings: each fault has its line, and its mend turns it green."""

import re
import tomllib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    CookiePolicy,
    SealedSession,
    StoredSession,
)
from amplify_mw.diagnostics import examine
from amplify_mw.diagnostics.examination.keys import _weakness
from amplify_mw.diagnostics.examination.packages import TESTED
from amplify_mw.models.check import Check
from amplify_mw.sessions.seal import key_text, parse_key
from amplify_mw.stores import MemoryStore
from tests.diagnostics.keys import KEYS

HOST = CookiePolicy.host_prefixed()
KEY, OTHER, THIRD = map(parse_key, KEYS)
SITE = "https://app.example.com"
HTTP = {"allow_insecure_http": True}


def config(**options: Any) -> AmplifyConfig:
    """A configuration of a site with routes, unless it says otherwise."""
    common: dict[str, Any] = {
        "user_pool_id": "eu-west-1_Ab12Cd34E",
        "client_id": "web",
        "domain": "auth.example.com",
        "cookie": HOST,
        "origins": [SITE],
    }
    return AmplifyConfig(**{**common, **options})


def routes(**options: Any) -> AuthRoutes:
    return AuthRoutes(**{"origin": SITE, "keys": [KEY, OTHER], **options})


def lines(name: str, **options: Any) -> list[Check]:
    """The lines of that name."""
    return [c for c in examine(config(**options), network=False).checks if c.name == name]


def outcomes(name: str, **options: Any) -> set[str]:
    return {check.outcome for check in lines(name, **options)}


PLAIN = CookiePolicy(name="sid")
FAULTS: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "no Secure on a site with https",
        *("cookie_secure", "wrong"),
        {"cookie": CookiePolicy(secure=False)},
        {"cookie": HOST},
    ),
    (
        "a Secure cookie on a site with plain http",
        *("cookie_secure", "wrong"),
        {"origins": ["http://intra.example.com"], **HTTP},
        {"origins": [SITE]},
    ),
    (
        "a Secure cookie on http://localhost",
        *("cookie_secure", "warning"),
        {"origins": ["http://localhost:3000"]},
        {
            "origins": ["http://localhost:3000"],
            "cookie": CookiePolicy.for_origin("http://localhost:3000"),
        },
    ),
    (
        "a session in the clear on another machine",
        *("cookie_secure", "warning"),
        {"origins": ["http://intra.example.com"], "cookie": CookiePolicy(secure=False)},
        {"origins": ["https://intra.example.com"]},
    ),
    (
        "no Secure, and no origin",
        *("cookie_secure", "warning"),
        {"origins": [], "cookie": CookiePolicy(secure=False)},
        {"origins": []},
    ),
    (
        "Amplify's cookies without Secure",
        *("cookie_secure", "wrong"),
        {"session": AmplifyCookies(secure=False)},
        {"session": AmplifyCookies()},
    ),
    (
        "a name that a sibling can plant",
        *("cookie_prefix", "warning"),
        {"cookie": CookiePolicy()},
        {"cookie": HOST},
    ),
    (
        "a prefix that only asks for https",
        *("cookie_prefix", "warning"),
        {"cookie": CookiePolicy(name="__Secure-sid")},
        {"cookie": CookiePolicy(name="__Host-sid")},
    ),
    (
        "the name of Amplify's cookies",
        *("cookie_name", "wrong"),
        {"cookie": CookiePolicy(name="CognitoIdentityServiceProvider.web.LastAuthUser")},
        {"cookie": PLAIN},
    ),
    (
        "the name of a cookie of the routes",
        *("cookie_name", "wrong"),
        {"cookie": CookiePolicy(name="amplify-hop"), "routes": routes()},
        {"cookie": PLAIN, "routes": routes()},
    ),
    (
        "the name of Flask's own cookie",
        *("cookie_name", "warning"),
        {"cookie": CookiePolicy(name="session")},
        {"cookie": PLAIN},
    ),
    (
        "a domain of another site",
        *("cookie_domain", "wrong"),
        {"cookie": CookiePolicy(domain="example.org")},
        {"cookie": CookiePolicy(domain=None)},
    ),
    (
        "a domain for one host",
        *("cookie_domain", "warning"),
        {"cookie": CookiePolicy(domain="example.com")},
        {
            "cookie": CookiePolicy(domain="example.com"),
            "origins": [SITE, "https://shop.example.com"],
        },
    ),
    (
        "a path beside the mount",
        *("cookie_path", "wrong"),
        {"cookie": CookiePolicy(path="/app"), "mount": "/shop"},
        {"cookie": CookiePolicy(path="/app"), "mount": "/app"},
    ),
    (
        "a path beside what is guarded",
        *("cookie_path", "wrong"),
        {"cookie": CookiePolicy(path="/app"), "protect": ["/account/*"], "login_url": "/app/in"},
        {"cookie": CookiePolicy(path="/"), "protect": ["/account/*"], "login_url": "/app/in"},
    ),
    (
        "a path below the mount, beside what is guarded",
        *("cookie_path", "wrong"),
        {"cookie": CookiePolicy(path="/app/a"), "protect": ["/b"], "mount": "/app"},
        {"cookie": CookiePolicy(path="/app"), "protect": ["/b"], "mount": "/app"},
    ),
    (
        "a cookie for all sites without any protection",
        *("cookie_same_site", "wrong"),
        {"cookie": CookiePolicy(same_site="None"), "csrf": None},
        {"cookie": CookiePolicy(same_site="None", partitioned=True)},
    ),
    (
        "a cookie for all sites",
        *("cookie_same_site", "warning"),
        {"cookie": CookiePolicy(same_site="None")},
        {"cookie": CookiePolicy(same_site="Lax")},
    ),
    (
        "a sign-in page elsewhere, whose forms are refused",
        *("origins", "warning"),
        {"login_url": "https://login.example.com/in"},
        {"login_url": "https://login.example.com/in", "origins": ["https://login.example.com"]},
    ),
    (
        "requests from other sites, and none that may send them",
        *("origins", "warning"),
        {"cookie": CookiePolicy(same_site="None"), "origins": []},
        {"cookie": CookiePolicy(same_site="None"), "origins": ["https://partner.example"]},
    ),
    (
        "a front end whose origin is not known",
        *("origins", "warning"),
        {"session": AmplifyCookies(domain="example.com"), "origins": []},
        {"session": AmplifyCookies(), "origins": []},
    ),
    (
        "a router's placeholder",
        *("patterns", "wrong"),
        {"protect": ["/users/{name}/*"]},
        {"protect": ["/users/*"]},
    ),
    (
        "guarded, and ignored",
        *("patterns", "wrong"),
        {"protect": ["/api/account"], "ignore": ["/api/*"]},
        {"protect": ["/api/account"], "ignore": ["/api/static/*"]},
    ),
    (
        "exempt, and ignored",
        *("patterns", "warning"),
        {"csrf_exempt": ["/hooks/pay"], "ignore": ["/hooks/*"]},
        {"csrf_exempt": ["/hooks/pay"]},
    ),
    (
        "guarded, and open to everybody",
        *("patterns", "wrong"),
        {"protect": ["/account"], "public": ["/*"]},
        {"protect": ["/*"], "public": ["/about"]},
    ),
    (
        "open, and never guarded",
        *("patterns", "warning"),
        {"protect": ["/account/*"], "public": ["/acount/help"]},
        {"protect": ["/account/*"], "public": ["/account/help"]},
    ),
    (
        "exempt from nothing",
        *("patterns", "warning"),
        {"csrf": None, "csrf_exempt": ["/hooks/*"]},
        {"csrf_exempt": ["/hooks/*"]},
    ),
    (
        "guarded pages, and no sign-in page",
        *("login_url", "warning"),
        {"protect": ["/account/*"]},
        {"protect": ["/account/*"], "login_url": "/login"},
    ),
    (
        "sign-in routes that are ignored",
        *("login_url", "wrong"),
        {"routes": routes(), "ignore": ["/auth/*"]},
        {"routes": routes(prefix="/in"), "ignore": ["/auth/*"]},
    ),
    (
        "a sign-in page that is ignored",
        *("login_url", "warning"),
        {"login_url": "/login", "ignore": ["/login"]},
        {"login_url": "/login"},
    ),
    (
        "a page of failures that asks to sign in",
        *("login_url", "wrong"),
        {"routes": routes(on_error="/failed"), "protect": ["/*"]},
        {"routes": routes(on_error="/failed"), "protect": ["/*"], "public": ["/failed"]},
    ),
    (
        "reasons for everybody to read",
        *("debug_headers", "warning"),
        {"debug_headers": True},
        {"debug_headers": True, "origins": ["http://localhost:3000"]},
    ),
    (
        "a key that repeats a byte",
        *("key_strength", "wrong"),
        {"session": SealedSession(keys=[KEY, b"k" * 32])},
        {"session": SealedSession(keys=[KEY, OTHER])},
    ),
    (
        "a key that is a text",
        *("key_strength", "wrong"),
        {"routes": routes(keys=[b"correct horse battery staple 123"])},
        {"routes": routes()},
    ),
    (
        "a key twice",
        *("key_order", "warning"),
        {"session": SealedSession(keys=[KEY, key_text(KEY)])},
        {"session": SealedSession(keys=[OTHER, KEY])},
    ),
    (
        "workers with the sessions' key",
        *("key_sharing", "warning"),
        {"session": SealedSession(keys=[KEY]), "handover_keys": [OTHER, KEY]},
        {"session": SealedSession(keys=[KEY]), "handover_keys": [THIRD]},
    ),
]


@pytest.mark.parametrize(
    "pattern",
    ["/u/<int:id>", "/u/{id:int}", "/u/:id/*", "/u/[id]", "/u/.+", "/u$", "/^u"],
)
def test_what_routers_write_is_no_pattern(pattern: str) -> None:
    assert outcomes("patterns", protect=[pattern]) == {"wrong"}


@pytest.mark.parametrize("pattern", ["/wiki/Ada_(person)", "/a:b", "/a$b", "/a[1]", "/.well-known"])
def test_what_a_path_may_have_is_a_pattern(pattern: str) -> None:
    assert outcomes("patterns", protect=[pattern]) == {"ok"}


@pytest.mark.parametrize(
    ("name", "outcome", "fault", "mended"), [row[1:] for row in FAULTS], ids=[r[0] for r in FAULTS]
)
def test_each_fault_is_told_and_its_mend_turns_the_line_green(
    name: str, outcome: str, fault: dict[str, Any], mended: dict[str, Any]
) -> None:
    told = [check for check in lines(name, **fault) if check.outcome != "ok"]
    assert {check.outcome for check in told} == {outcome}
    assert all(check.found and check.mend for check in told)
    assert outcomes(name, **mended) == {"ok"}


def test_what_a_proxy_in_front_may_say_is_told_with_the_configured_address() -> None:
    (told,) = lines("public_address", mount="/shop")
    assert told.outcome == "ok"
    assert all(part in told.found for part in (SITE, "/shop", "X-Forwarded-Host"))
    assert lines("public_address", origins=[])[0].outcome == "ok"


def test_a_weak_key_is_no_more_than_a_warning_on_this_machine() -> None:
    weak = {"session": SealedSession(keys=[b"k" * 32])}
    assert outcomes("key_strength", **weak) == {"wrong"}
    assert outcomes("key_strength", **weak, origins=["http://localhost:3000"]) == {"warning"}


def test_keys_of_several_kinds_are_told_apart() -> None:
    kinds = [SealedSession(keys=[KEY, OTHER]), SealedSession(keys=[THIRD, b"k" * 32])]
    told = [line for line in lines("key_strength", session=kinds) if line.outcome != "ok"]
    assert [line.found.partition(": ")[0] for line in told] == ["SealedSession.keys (2)"]


def test_one_key_is_no_fault_and_the_way_to_change_it_is_told() -> None:
    (told,) = lines("key_order", session=SealedSession(keys=[KEY]))
    assert told.outcome == "ok"
    assert "[old, new]" in told.found


@pytest.mark.parametrize(
    "weak", [b"k" * 32, bytes(range(32)), b"0123456789abcdef" * 2, b"\1\0" * 16]
)
def test_no_line_shows_a_key(weak: bytes) -> None:
    options = {"session": SealedSession(keys=[weak]), "handover_keys": [weak, OTHER, OTHER]}
    found = examine(config(**options), network=False)
    said = f"{found} {found.to_dict()}"
    for key in (weak, OTHER):
        assert key_text(key) not in said
        assert key.hex() not in said
        assert repr(key) not in said


@given(st.integers())
def test_a_random_key_is_never_called_weak(seed: int) -> None:
    assert _weakness(Random(seed).randbytes(32)) == ""


def test_a_site_as_the_documentation_writes_it_has_no_line_that_is_not_ok() -> None:
    found = examine(
        config(
            session=SealedSession(keys=[KEY, OTHER]),
            routes=routes(),
            protect=["/account/*"],
            public=["/account/help"],
            ignore=["/static/*"],
        ),
        network=False,
    )
    assert [check for check in found.checks if check.outcome != "ok"] == []
    assert found.exit_status == 0


def test_a_sealed_session_says_what_a_coordinator_would_give() -> None:
    (alone,) = lines("coordinator", session=SealedSession(keys=[KEY]))
    assert "coordinator=store" in alone.found
    (shared,) = lines("coordinator", session=SealedSession(keys=[KEY], coordinator=MemoryStore()))
    assert shared.found == "MemoryStore"
    assert not lines("coordinator", session=StoredSession(MemoryStore()))


# The packages


def distribution(folder: Path, name: str, version: str, *more: str) -> None:
    """A package's metadata, found before the installed one's."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *more]
    (place / "METADATA").write_text("\n".join(head) + "\n")


@pytest.mark.parametrize(
    ("package", "version", "outcome"),
    [("joserfc", "1.5.9", "wrong"), ("redis", "4.6.0", "wrong"), ("django", "4.2.1", "warning")],
)
def test_a_package_that_is_too_old_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, version: str, outcome: str
) -> None:
    distribution(tmp_path, package, version)
    with monkeypatch.context() as path:
        path.syspath_prepend(str(tmp_path))
        (told,) = lines("packages")
    assert (told.outcome, told.found.partition(",")[0]) == (outcome, f"{package} {version}")
    assert told.mend.startswith(f"pip install '{package}>=")
    assert outcomes("packages") == {"ok"}


def test_a_python_or_a_package_that_is_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ("Requires-Python: >=99.1", "Requires-Dist: no-such-package>=2")
    distribution(tmp_path, "amplify-mw", "0.1", *needs)
    with monkeypatch.context() as path:
        path.syspath_prepend(str(tmp_path))
        assert [check.mend for check in lines("python")] == ["install Python 99.1"]
        assert [check.mend for check in lines("packages")] == ["pip install no-such-package"]
    assert outcomes("python") == {"ok"}


def test_a_copy_that_was_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as nothing:
        nothing.setattr("amplify_mw.diagnostics.examination.packages._OWN", "amplify-mw-copied")
        assert outcomes("packages") == {"unknown"}


def test_the_frameworks_versions_are_those_that_the_tests_ask_for() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    groups = tomllib.loads(project.read_text())["dependency-groups"]
    needs = [need for group in ("test", "pyramid") for need in groups[group]]
    asked = dict(re.match(r"([\w-]+)[^>]*>=([\d.]+)", need).groups() for need in needs)  # type: ignore[union-attr,misc]
    assert {name: asked[name] for name in TESTED} == TESTED


@pytest.mark.parametrize(
    ("option", "pattern", "mend"),
    [
        ("protect", "/users/<name>", "write '/users/*'"),
        ("protect", "/prices$", "write '/prices'"),
        ("public", "/prices$", "write '/prices'"),
        ("public", "/<page>", "write each path"),
        ("ignore", "/static/{name}", "write each path; or '/static/*', if you mean all of it"),
    ],
)
def test_no_mend_of_a_pattern_opens_more_than_was_meant(
    option: str, pattern: str, mend: str
) -> None:
    found = examine(config(**{"protect": ["/*"], option: [pattern]}), network=False)
    assert [each.mend for each in found.checks if each.outcome == "wrong"] == [mend]


def test_the_configuration_for_amplify_js_has_nothing_to_mend() -> None:
    found = examine(config(session=AmplifyCookies(), protect=["/api/*"], origins=[]), network=False)
    assert {each.outcome for each in found.checks} == {"ok"}
