"""Away to the pool: what a sign-in route asks it for, and what it answers itself."""

import hashlib
import logging
from base64 import urlsafe_b64encode
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw.cognito.api import Failure, Refreshed
from amplify_mw.cognito.regions import Secrets
from amplify_mw.effects import Response
from amplify_mw.routes.attempt import Attempt
from amplify_mw.routes.provider import Provider, identity_provider
from amplify_mw.testing import LocalUserPool
from tests.routes.going import CALLBACK, NAVIGATION, ORIGIN, Visitor, is_here, sent
from tests.sites import NAME, Build, Clock, town

ATTEMPT = Attempt("1.state", "the-nonce", "the-verifier", 1, "/", None)
MARKUP = "\"'><script>alert(1)</script>"


def provider(resource: str | None = None) -> Provider:
    home = "https://pool.example"
    return Provider(home, f"{home}/oauth2/token", "web", CALLBACK, "openid email", resource)


def challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


# Requests out, responses in.


def test_an_authorization_url_has_these_parameters() -> None:
    url = provider().authorization_url("oauth2/authorize", ATTEMPT, "1.state.0", {"lang": "de"})
    assert url.startswith("https://pool.example/oauth2/authorize?")
    assert sent(url) == {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "scope": "openid email",
        "state": "1.state.0",
        "nonce": "the-nonce",
        "code_challenge": challenge("the-verifier"),
        "code_challenge_method": "S256",
        "lang": "de",
    }


def test_both_requests_name_the_resource() -> None:
    asking = provider(resource="https://orders.example.com/a?b=c")
    url = asking.authorization_url("oauth2/authorize", ATTEMPT, "1.state.0", {})
    assert sent(url)["resource"] == "https://orders.example.com/a?b=c"
    body = asking.token_request("code", ATTEMPT, None).content.decode()
    assert "resource=https%3A%2F%2Forders.example.com%2Fa%3Fb%3Dc" in body
    assert "resource" not in sent(provider().authorization_url("signup", ATTEMPT, "1.s.0", {}))
    assert b"resource" not in provider().token_request("code", ATTEMPT, None).content


def test_a_code_is_redeemed_with_its_verifier() -> None:
    request = provider().token_request("the code/&=é", ATTEMPT, None)
    assert (request.method, request.url) == ("POST", "https://pool.example/oauth2/token")
    assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert "authorization" not in request.headers
    assert sent("?" + request.content.decode("ascii")) == {
        "grant_type": "authorization_code",
        "client_id": "web",
        "code": "the code/&=é",
        "code_verifier": "the-verifier",
        "redirect_uri": CALLBACK,
    }


def test_a_client_with_a_secret_shows_it_form_encoded() -> None:
    request = provider().token_request("c", ATTEMPT, "se:cret/+")
    # web:se%3Acret%2F%2B
    assert request.headers["authorization"] == "Basic d2ViOnNlJTNBY3JldCUyRiUyQg=="
    assert b"client_secret" not in request.content


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_code_is_passed_on_as_it_came(code: str) -> None:
    content = provider().token_request(code, ATTEMPT, None).content.decode("ascii")
    assert sent("?" + content).get("code", "") == code


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("google", "Google"),
        ("Google", "Google"),
        ("GOOGLE", "Google"),
        ("facebook", "Facebook"),
        ("amazon", "LoginWithAmazon"),
        ("apple", "SignInWithApple"),
        ("LoginWithAmazon", "LoginWithAmazon"),
        ("MyOIDC", "MyOIDC"),
        ("my-saml_2", "my-saml_2"),
        ("googles", "googles"),
    ],
)
def test_four_providers_have_short_names(short: str, long: str) -> None:
    assert identity_provider(short) == long


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (400, b'{"error": "invalid_grant"}', "session_revoked"),
        (400, b'{"error": "invalid_client"}', "cognito_misconfigured"),
        (401, b'{"error": "unauthorized_client"}', "cognito_misconfigured"),
        (429, b"", "throttled"),
        (500, b"", "cognito_unavailable"),
        (200, b"", "cognito_unavailable"),
        (200, b"{}", "cognito_unavailable"),
        (200, b'{"id_token": 1, "access_token": "a"}', "cognito_unavailable"),
        (200, b'{"access_token": "a"}', "cognito_unavailable"),
    ],
)
def test_an_answer_without_tokens_is_a_failure(status: int, content: bytes, reason: str) -> None:
    outcome = provider().read_tokens(Response(status, {}, content))
    assert isinstance(outcome, Failure)
    assert outcome.reason == reason


@settings(deadline=None)
@given(st.integers(100, 599), st.binary())
def test_no_answer_makes_it_stumble(status: int, content: bytes) -> None:
    outcome = provider().read_tokens(Response(status, {}, content))
    assert isinstance(outcome, Failure | Refreshed)


# Over HTTP.


def test_sign_in_asks_for_what_only_this_attempt_knows(visitor: Visitor) -> None:
    url = visitor.leave()
    asked = sent(url)
    pool = visitor.site.pool
    assert url.startswith(f"{pool.url}/oauth2/authorize?")
    assert all(asked.pop(name) for name in ("state", "nonce", "code_challenge"))
    assert asked == {
        "response_type": "code",
        "client_id": pool.client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile aws.cognito.signin.user.admin",
        "code_challenge_method": "S256",
    }


def test_no_two_attempts_have_anything_in_common(visitor: Visitor) -> None:
    one, two = sent(visitor.leave()), sent(visitor.leave())
    different = {name for name in one if one[name] != two[name]}
    assert different == {"state", "nonce", "code_challenge"}


def test_the_answer_is_kept_by_nobody(visitor: Visitor) -> None:
    got = visitor.go("/auth/sign-in")
    assert (got.one("cache-control"), got.one("referrer-policy")) == ("no-store", "no-referrer")
    assert (got.body, len(got.all("set-cookie"))) == ("", 1)


def test_sign_up_goes_to_the_page_for_new_users(visitor: Visitor) -> None:
    url = visitor.leave("/auth/sign-up")
    assert url.startswith(f"{visitor.site.pool.url}/signup?")
    assert sent(url).keys() == sent(visitor.leave()).keys()


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ({"lang": "pt-BR"}, {"lang": "pt-BR"}),
        ({"login_hint": "ada@example.com"}, {"login_hint": "ada@example.com"}),
        ({"idp_identifier": "example.com"}, {"idp_identifier": "example.com"}),
        ({"provider": "apple"}, {"identity_provider": "SignInWithApple"}),
        ({"provider": "My Ünternehmen"}, {"identity_provider": "My Ünternehmen"}),
        ({"prompt": "login"}, {"prompt": "login"}),
        ({"prompt": "none"}, {"prompt": "none"}),
        ({"max_age": "0"}, {"max_age": "0"}),
        ({"max_age": "0060"}, {"max_age": "60"}),
        ({"prompt": "none login"}, {}),
        ({"prompt": "create"}, {}),
        ({"max_age": "-1"}, {}),
        ({"max_age": "1.5"}, {}),
        ({"max_age": "²"}, {}),
        ({"max_age": "1234567890"}, {}),
        ({"lang": ""}, {}),
        ({"lang": "a\r\nb"}, {}),
        ({"login_hint": "a" * 257}, {}),
        ({"state": "mine"}, {}),
        ({"redirect_uri": "https://evil.example"}, {}),
        ({"scope": "openid everything"}, {}),
        ({"nonce": "n", "code_challenge": "c", "response_type": "token"}, {}),
    ],
    ids=str,
)
def test_a_link_may_ask_for_a_little(
    visitor: Visitor, asked: dict[str, str], passed_on: dict[str, str]
) -> None:
    ordinary, url = sent(visitor.leave()), visitor.leave(**asked)
    found = sent(url)
    fresh = {"state", "nonce", "code_challenge"}
    assert {name: found[name] for name in found.keys() - fresh} == {
        **{name: ordinary[name] for name in ordinary.keys() - fresh},
        **passed_on,
    }
    assert not fresh & asked.keys() or all(found[name] != asked.get(name) for name in fresh)


def test_scopes_can_be_chosen(build: Build) -> None:
    visitor = Visitor(build(routes={"scopes": ["openid", "phone"]}))
    assert sent(visitor.leave())["scope"] == "openid phone"


def test_who_is_signed_in_goes_on_at_once(visitor: Visitor) -> None:
    visitor.sign_in()
    for path in ("/auth/sign-in", "/auth/sign-up"):
        assert visitor.leave(path, next="/orders", login_hint="grace") == "/orders"
    assert not visitor.attempts


@pytest.mark.parametrize(
    "asked",
    [{"prompt": "login"}, {"provider": "google"}, {"idp_identifier": "a"}, {"max_age": "60"}],
    ids=str,
)
def test_who_is_to_show_it_anew_is_asked_all_the_same(
    visitor: Visitor, asked: dict[str, str]
) -> None:
    visitor.sign_in()
    assert visitor.leave(**asked).startswith(f"{visitor.site.pool.url}/oauth2/authorize?")
    assert visitor.user == "ada"


class Links(HTMLParser):
    """What a page's links and refreshes lead to, and its elements' names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.targets += [value or "" for name, value in attrs if name == "href"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        {"Sec-Fetch-Site": "anything"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/sign-up"])
def test_another_sites_page_has_to_ask(
    visitor: Visitor, path: str, headers: dict[str, str]
) -> None:
    got = visitor.go(f"{path}?lang=de&next=/a%3Fb=c", fetch_site=None, headers=headers)
    assert (got.status, got.all("set-cookie"), got.one("location")) == (200, [], None)
    assert got.one("cache-control") == "no-store"
    [link] = Links(got.body).targets
    assert link == f"{path}?lang=de&next=%2Fa%3Fb%3Dc"
    assert sent(visitor.leave(link))["lang"] == "de"


@pytest.mark.parametrize("fetch_site", ["same-origin", "same-site", "none", None])
def test_this_sites_own_pages_do_not(visitor: Visitor, fetch_site: str | None) -> None:
    assert visitor.go("/auth/sign-in", fetch_site=fetch_site).status == 303


def test_the_question_repeats_nothing_that_is_not_escaped(visitor: Visitor) -> None:
    fields = dict.fromkeys(("provider", "lang", "login_hint", "next", "other"), MARKUP)
    got = visitor.go(f"/auth/sign-in?{urlencode(fields)}", fetch_site="cross-site")
    assert got.status == 200
    found = Links(got.body)
    assert found.names == {"html", "head", "meta", "title", "style", "body", "h1", "p", "a"}
    assert sent(found.targets[0])["provider"] == MARKUP
    assert "other" not in sent(found.targets[0])


@pytest.mark.parametrize(
    "query",
    [
        "next=/a&next=/b",
        "lang=de&lang=de",
        "anything=1&anything=2",
        "&".join(f"a{number}=1" for number in range(33)),
        "next=/" + "a" * 8192,
        "next=%FF",
        "next=/%ED%A0%80",
        "%C3=1",
    ],
    ids=lambda query: query[:24],
)
@pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/sign-up", "/auth/sign-in-callback"])
def test_a_query_that_is_none_is_a_bad_request(build: Build, path: str, query: str) -> None:
    visitor = Visitor(build())
    got = visitor.go(f"{path}?{query}")
    assert (got.status, got.all("set-cookie")) == (400, [])
    assert Links(got.body).targets == ["/auth/sign-in"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "anything"])
@pytest.mark.parametrize("name", ["sign-in", "sign-up", "sign-in-callback", "sign-out-callback"])
def test_they_are_there_to_be_read(visitor: Visitor, name: str, method: str) -> None:
    got = visitor.go(f"/auth/{name}", method=method)
    allowed = "GET" if name == "sign-in-callback" else "GET, HEAD"
    assert (got.status, got.one("allow")) == (405, allowed)
    assert got.one("content-type") == "application/problem+json"


def test_a_head_request_gets_headers_alone(visitor: Visitor) -> None:
    for path in ("/auth/sign-in", "/auth/sign-up", "/auth/sign-out-callback"):
        got = visitor.go(path, method="HEAD", fetch_site="cross-site")
        assert got.body == ""
        assert got.status == visitor.go(path, fetch_site="cross-site").status


QUERIES = st.binary(max_size=60) | st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("next", "provider", "idp_identifier", "lang", "login_hint", "prompt"),
                *("max_age", "code", "state", "error", "error_description", "iss"),
            ]
        ),
        st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)
        | st.binary()
        | st.sampled_from([b"/a", b"//evil.example", b"0", b"none", MARKUP.encode(), b"\r\nA: b"]),
    ),
    max_size=5,
).map(urlencode).map(str.encode)
ANSWERS = {200, 303, 400, 403, 405, 502}


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    query=QUERIES,
    name=st.sampled_from(["sign-in", "sign-up", "sign-in-callback", "sign-out-callback"]),
    fetch_site=st.sampled_from(["same-origin", "cross-site"]),
)
@example(query=b"next=/" + b"%C3%A9" * 600, name="sign-in", fetch_site="same-origin")
def test_any_bytes_in_a_query_get_a_documented_answer(
    visitor: Visitor, query: bytes, name: str, fetch_site: str
) -> None:
    url = f"/auth/{name}?" + query.decode("latin-1")
    if visitor.site.shell.kind == "asgi":  # which takes them as they are spelled
        url = f"/auth/{name}?" + quote(query, safe="%&=+;/?:@!$'()*,-._~")
    got = visitor.go(url, fetch_site=fetch_site)
    assert got.status in ANSWERS
    assert all(text.isascii() and text.isprintable() for pair in got.headers for text in pair)
    location = got.one("location")
    assert location is None or is_here(location) or location.startswith(visitor.site.pool.url)
    if got.status == 200:
        assert Links(got.body).names <= {
            *("html", "head", "meta", "title", "style", "body", "h1", "p", "a"),
        }


@pytest.mark.parametrize(
    "wanted",
    [
        *("//evil.example", "/%5Cevil.example", "/%2509/evil.example", "https://evil.example"),
        *("/auth/sign-out", "/%2561uth/sign-in", "/AUTH/sign-out"),
    ],
)
def test_a_next_elsewhere_becomes_the_default_in_the_end(build: Build, wanted: str) -> None:
    visitor = Visitor(build(routes={"after_sign_in": "/home"}))
    got = visitor.sign_in(next=wanted)
    assert "0;url=/home" in got.body
    assert Links(got.body).targets == ["/home"]
    assert visitor.leave(next=wanted) == "/home"  # who is signed in already, too


@pytest.mark.parametrize("wanted", ["/a?b=c&d=%2Fe#f", "/caf%C3%A9?q=a%20b", "/a;b='c'?x=1;url=/"])
def test_a_next_of_this_site_is_where_one_is_in_the_end(visitor: Visitor, wanted: str) -> None:
    got = visitor.sign_in(next=wanted)
    assert Links(got.body).targets == [wanted]
    assert f"0;url={wanted}" in unescape(got.body)
    assert visitor.leave(next=wanted) == wanted


def test_a_long_address_is_come_back_to(build: Build) -> None:
    visitor = Visitor(build(protect=["/*"]))
    wanted = "/search?q=" + "%20x" * 500
    got = visitor.go(wanted, headers=NAVIGATION)
    back = visitor.site.pool.authorize(visitor.leave(str(got.one("location"))), "ada")
    assert Links(visitor.come_back(back).body).targets == [wanted]


def test_a_guarded_page_leads_to_sign_in_and_back(build: Build) -> None:
    visitor = Visitor(build(protect=["/orders/*"]))
    got = visitor.go("/orders/7?tab=a%20b", headers=NAVIGATION)
    assert got.status == 302
    pool = visitor.site.pool
    back = pool.authorize(visitor.leave(str(got.one("location"))), "ada")
    assert Links(visitor.come_back(back).body).targets == ["/orders/7?tab=a%20b"]
    assert visitor.go("/orders/7", headers=NAVIGATION).body == "the app"


@pytest.mark.parametrize("protect", [["/*"], ["/auth/*"]])
def test_the_routes_are_there_where_everything_is_guarded(build: Build, protect: list[str]) -> None:
    visitor = Visitor(build(protect=protect))
    visitor.sign_in()
    assert visitor.user == "ada"
    got = visitor.go("/auth/sign-out")
    assert got.status == 303
    assert visitor.go("/auth/sign-out-callback").one("location") == "/"


@pytest.mark.parametrize(
    "path", ["/auth/", "/auth", "/auth/sign-in/", "/auth//sign-in", "/AUTH/sign-in", "/sign-in"]
)
def test_another_path_is_the_apps(visitor: Visitor, path: str) -> None:
    assert visitor.go(path).body == "the app"


def test_the_prefix_is_the_whole_path_under_a_mount(build: Build) -> None:
    visitor = Visitor(build(routes={"prefix": "/shop/auth"}, protect=["/orders"]))
    got = visitor.go("/shop/orders", headers=NAVIGATION, mount="/shop")
    assert got.one("location") == "/shop/auth/sign-in?next=%2Fshop%2Forders"
    got = visitor.go(str(got.one("location")), mount="/shop")
    assert sent(str(got.one("location")))["redirect_uri"] == f"{ORIGIN}/shop/auth/sign-in-callback"
    back = visitor.site.pool.authorize(str(got.one("location")), "ada")
    got = visitor.come_back(back, mount="/shop")
    assert Links(got.body).targets == ["/shop/orders"]
    assert visitor.go("/auth/sign-in", mount="").body == "the app"


def test_other_providers_are_asked_by_name(build: Build, clock: Clock) -> None:
    with town(clock, identity_providers={"Okta": ["example.com"]}) as pool:
        pool.add_user("Okta_grace", identity_provider="Okta")
        visitor = Visitor(build(pool=pool))
        visitor.sign_in("Okta_grace", provider="Okta")
        assert visitor.user == "Okta_grace"
        visitor = Visitor(visitor.site)
        visitor.sign_in("Okta_grace", idp_identifier="example.com")
        assert visitor.user == "Okta_grace"


def test_no_header_has_a_say_in_where_anybody_is_sent(visitor: Visitor) -> None:
    names = ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded")
    got = visitor.go("/auth/sign-in", headers=dict.fromkeys(names, "evil.example"))
    assert "evil" not in str(got.headers)


def secrets_of(pool: LocalUserPool, visitor: Visitor, back: str) -> set[str]:
    """What nobody else may learn of a sign-in that is on its way back."""
    return {sent(back)["code"], sent(back)["state"], *visitor.attempts.values()}


def test_no_secret_is_logged_or_raised(
    build: Build, caplog: pytest.LogCaptureFixture, pool: LocalUserPool
) -> None:
    caplog.set_level(logging.DEBUG)
    visitor = Visitor(build())
    back = pool.authorize(visitor.leave(login_hint="hint-of-ada"), "ada")
    secrets = secrets_of(pool, visitor, back)
    visitor.come_back(back)
    visitor.come_back(back)
    secrets.add(visitor.jar[NAME])
    visitor.go("/auth/sign-out")
    visitor.come_back(back)
    visitor.site.settle()
    ours = [record for record in caplog.records if record.name.startswith("amplify_mw")]
    written = "\n".join(f"{record.getMessage()} {record.args} {record.exc_info}" for record in ours)
    assert not [secret for secret in secrets if secret in written]


def reprs() -> list[Any]:
    some = provider()
    request = some.token_request("the-code", ATTEMPT, "the-secret")
    body = b'{"id_token": "the-id", "access_token": "the-access", "refresh_token": "the-refresh"}'
    answer = some.read_tokens(Response(200, {}, body))
    return [some, request, answer, ATTEMPT, Secrets(("the-secret",))]


@pytest.mark.parametrize("value", reprs(), ids=lambda value: type(value).__name__)
def test_no_repr_shows_a_secret(value: object) -> None:
    words = ("secret", "code", "verifier", "nonce", "state", "id", "access", "refresh")
    assert not [word for word in words if f"the-{word}" in repr(value)]
