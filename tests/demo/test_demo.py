"""The demo's site, in Flask and in FastAPI, through one test client, with a real user pool."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import httpx2
import pytest
from werkzeug.test import Client, TestResponse

from amplify_mw.demo import app_fastapi, app_flask, pages
from amplify_mw.demo.device import in_words
from amplify_mw.demo.host import ASGIOneHost, WSGIOneHost
from amplify_mw.demo.pages import with_another_start
from amplify_mw.demo.people import NOTES, PASSWORD, PEOPLE, add_people
from amplify_mw.demo.profile import make_profile
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.testing.pool.pool import AuthorizeError, Down
from tests.demo.as_wsgi import as_wsgi
from tests.patience import PATIENCE, let_land

ORIGIN = "http://localhost"
COOKIE = "amplify-session"
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)


class Clock:
    """The pool's clock. `behind`: seconds by which its tokens are older than they should be."""

    behind = 0

    def __call__(self) -> float:
        return time.time() - self.behind


@pytest.fixture
def pool_clock() -> Clock:
    return Clock()


@pytest.fixture
def demo_pool(pool_clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=pool_clock, notes=NOTES) as pool:
        add_people(pool)
        yield pool
        let_land()


@pytest.fixture(params=["flask", "fastapi"])
def app(request: pytest.FixtureRequest, demo_pool: LocalUserPool) -> Any:
    """The site as a WSGI app, under its one name."""
    if request.param == "flask":
        return WSGIOneHost(app_flask.create_app(demo_pool, ORIGIN), ORIGIN)
    return as_wsgi(ASGIOneHost(app_fastapi.create_app(demo_pool, ORIGIN), ORIGIN))


@pytest.fixture
def client(app: Any) -> Client:
    return Client(app)


class Visitor:
    """Somebody with a browser, which knows the site's cookies and the pool's."""

    def __init__(self, pool: LocalUserPool, browser: Client, agent: str) -> None:
        self._pool = pool
        self.browser = browser
        self._headers = {**BROWSER, "User-Agent": agent}
        self.pool_cookies: dict[str, str] = {}

    def sign_in(self, username: str = "ada", path: str = "/auth/sign-in") -> TestResponse:
        """Open a page that leads to the pool, sign in there, and come back."""
        away = self.get(path)
        if away.location.startswith("/"):
            away = self.get(away.location)
        back = self._pool.authorize(away.location, username, cookies=self.pool_cookies)
        page = self.get(back, {"Sec-Fetch-Site": "cross-site"})
        return self.get(back) if "url=/auth/sign-in-callback?" in page.text else page

    def get(self, url: str, headers: dict[str, str] | None = None) -> TestResponse:
        """Open a page of the site."""
        return self.browser.get(
            url.removeprefix(ORIGIN), headers={**self._headers, **(headers or {})}
        )


@pytest.fixture
def sign_in(demo_pool: LocalUserPool, client: Client) -> Callable[..., TestResponse]:
    """Sign in with the browser `client`, whoever was signed in before."""

    def at_the_pool(username: str = "ada", *, agent: str = FIREFOX) -> TestResponse:
        visitor = Visitor(demo_pool, client, agent)
        return visitor.sign_in(username, "/auth/sign-in?prompt=login")

    return at_the_pool


@pytest.fixture
def others(demo_pool: LocalUserPool, client: Client) -> Visitor:
    """Somebody with another browser, an iPhone's, where Ada is signed in."""
    visitor = Visitor(demo_pool, Client(client.application), IPHONE)
    visitor.sign_in()
    return visitor


@pytest.fixture
def other(others: Visitor) -> Client:
    """That browser."""
    return others.browser


def next_page(page: TestResponse) -> str:
    """Where a page leads to by itself."""
    (url,) = re.findall('content="0;url=(.+?)"', page.text)
    return unescape(url)


def notice(page: TestResponse) -> str | None:
    """What a page says of the last click."""
    found = re.search('role="status">(.+?)</p>', page.text)
    return found and found[1]


def cookies_set(response: TestResponse) -> list[str]:
    return response.headers.getlist("Set-Cookie")


# Home


def test_home_asks_a_visitor_to_sign_in_and_says_who_can(client):
    page = client.get("/").text
    assert 'href="/auth/sign-in' in page
    assert all(person.username in page for person in PEOPLE)


def test_the_pools_sign_in_page_says_who_can_and_by_what_password(client):
    where = client.get("/auth/sign-in").location
    page = httpx2.get(where, follow_redirects=True, timeout=PATIENCE).text
    for person in PEOPLE:
        assert f"<dt>{person.username}</dt><dd>{person.name}. Password: {PASSWORD}. " in page


@pytest.mark.parametrize("code", ["", "new-tokens", "device-ended", "nothing", "<b>"])
def test_a_notice_that_is_not_for_this_visitor_is_not_shown(client, code):
    assert notice(client.get("/", query_string={"notice": code})) is None


def test_somebody_who_is_signed_in_is_not_said_to_be_signed_out(client, sign_in):
    sign_in()
    assert notice(client.get("/?notice=signed-out")) is None


def test_home_sets_no_cookie_for_a_visitor(client):
    assert cookies_set(client.get("/")) == []


def test_home_says_how_long_the_session_and_its_tokens_last(client, sign_in):
    sign_in()
    page = client.get("/").text
    assert "You are signed in as ada." in page
    lasting = re.findall(r'<tr><th scope="row">(.+?)</th>.+?<td>.+?>(in .+?)</span></td>', page)
    hour = "in 60 minutes"
    assert lasting == [("Session", hour), ("ID token", hour), ("Access token", hour)]


def test_tokens_that_are_about_to_run_out_are_refreshed_on_the_way(
    demo_pool, pool_clock, client, sign_in
):
    pool_clock.behind = 3570
    sign_in()
    pool_clock.behind = 0
    assert client.get("/").text.count("in 60 minutes") == 3
    assert demo_pool.count("GetTokensFromRefreshToken") == 1


def test_tokens_can_be_refreshed_at_once(demo_pool, client, sign_in):
    sign_in()
    response = client.post("/refresh")
    assert (response.status_code, response.location) == (303, "/?notice=new-tokens")
    assert demo_pool.count("GetTokensFromRefreshToken") == 1
    assert notice(client.get(response.location)).startswith("The tokens are new.")


@pytest.mark.parametrize("path", ["/refresh", "/devices/some-handle/end"])
def test_a_button_of_somebody_who_was_signed_out_meanwhile_leads_on(client, path):
    assert client.post(path).status_code == 303


@pytest.mark.parametrize("path", ["/", "/profile", "/members", "/admins", "/devices"])
def test_no_page_shows_the_id_or_a_token(client, sign_in, path):
    sign_in()
    page = client.get(path).text
    assert client.get_cookie(COOKIE).value not in page
    assert "eyJ" not in page


# Signing in


@pytest.mark.parametrize("person", [person for person in PEOPLE if person.confirmed])
def test_everybody_signs_in_with_the_password_on_the_home_page(demo_pool, client, person):
    assert PASSWORD in client.get("/").text
    away = client.get("/auth/sign-in").location
    client.get(demo_pool.authorize(away, person.username, PASSWORD).removeprefix(ORIGIN))
    assert f"You are signed in as {person.username}." in client.get("/").text


def test_an_account_that_was_never_confirmed_is_told_so_at_the_pool(demo_pool, client):
    away = client.get("/auth/sign-in").location
    with pytest.raises(ValueError, match="User is not confirmed"):
        demo_pool.authorize(away, "alan", PASSWORD)


def test_signing_in_sets_the_cookie_as_the_policy_says(sign_in):
    (line,) = [line for line in cookies_set(sign_in()) if line.startswith(COOKIE)]
    assert re.match(rf"{COOKIE}=[\w-]{{43}}; Max-Age=3[56]\d\d; ", line)
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(line.split("; "))


def test_signing_in_as_somebody_else_ends_the_session_that_was_there(client, sign_in):
    sign_in("ada")
    before = client.get_cookie(COOKIE).value
    sign_in("grace")
    assert "signed in as grace" in client.get("/").text
    client.set_cookie(COOKIE, before)
    assert "You are signed out" in client.get("/").text


@pytest.mark.parametrize(
    ("page", "target"), [("/", "/"), ("/nowhere", "/")], ids=["home", "an unknown page"]
)
def test_the_link_to_sign_in_leads_back_to_the_page_it_is_on(demo_pool, client, page, target):
    link = re.search(r'<a href="(/auth/sign-in.+?)">Sign in</a>', client.get(page).text)[1]
    back = Visitor(demo_pool, client, FIREFOX).sign_in("ada", link)
    assert next_page(back) == target


def hop_of(page):
    """Where a page goes on to by itself."""
    return re.search(r'content="0;url=([^"]*)"', page.text)[1]


def test_a_sign_in_that_was_not_wanted_leads_to_a_page_that_says_so(demo_pool, client):
    away = client.get("/auth/sign-in").location
    with demo_pool.fault("authorize", AuthorizeError("access_denied")):
        back = demo_pool.authorize(away, None)
    address = unescape(hop_of(client.get(back.removeprefix(ORIGIN))))
    assert address == "/not-signed-in?error=access_denied&pool_error=access_denied"
    assert "the sign-in was cancelled or refused" in client.get(address).text


@pytest.mark.parametrize("host", ["http://127.0.0.1", "http://localhost:81", "http://evil.test"])
@pytest.mark.parametrize("path", ["/", "/auth/sign-in", "/members?tab=2", "/%C3%A9%0A//?a=%0A"])
def test_a_request_under_another_name_goes_on_at_localhost(client, host, path):
    response = client.get(path, base_url=host)
    assert (response.status_code, response.location) == (307, f"{ORIGIN}{path}")
    assert cookies_set(response) == []


def test_a_browser_that_keeps_no_cookies_is_told_so(demo_pool, client):
    back = "/auth/sign-in-callback?code=x&state=6617b84c8a18f.abc.5"
    page = client.get(hop_of(client.get(back))).text
    assert "Your browser kept no cookie" in page


def test_a_pool_that_does_not_answer_signs_nobody_in(demo_pool, client, sign_in):
    with demo_pool.fault("token", Down()):
        assert hop_of(sign_in()) == "/not-signed-in?error=provider_unavailable"
    assert client.get_cookie(COOKIE) is None


@pytest.mark.parametrize("code", ["", "nothing", "<script>", "{origin}"])
def test_whatever_code_the_page_is_given_it_repeats_nothing(client, code):
    page = client.get("/not-signed-in", query_string={"error": code})
    assert "something that this site had not asked for" in page.text
    assert "<script" not in page.text


# The profile


def test_the_profile_shows_the_user_and_the_attributes(client, sign_in):
    sign_in()
    page = client.get("/profile").text
    assert "Hello, Ada Lovelace." in page
    assert "ada@example.com" in page
    assert '<th scope="row">groups</th><td class="value">admins</td>' in page


def test_the_attributes_come_from_get_user(demo_pool, client, sign_in):
    sign_in()
    client.get("/profile")
    assert demo_pool.count("GetUser") == 1


def test_the_profile_shows_the_very_functions_that_made_it(client, sign_in):
    sign_in()
    page = client.get("/profile").text
    assert "def make_profile()" in page
    assert "return <mark>get_current_user()</mark>, <mark>fetch_user_attributes()</mark>" in page


def test_attributes_are_escaped(demo_pool, client, sign_in):
    demo_pool.add_user("eve", PASSWORD, name="<script>alert(1)</script>", website='"&<b>')
    sign_in("eve")
    page = client.get("/profile").text
    assert "<script" not in page
    assert "Hello, &lt;script&gt;alert(1)&lt;/script&gt;." in page
    assert "&#34;&amp;&lt;b&gt;" in page


def test_each_visitor_sees_a_profile_of_their_own(client, sign_in):
    sign_in("ada")
    client.get("/profile")
    sign_in("grace")
    page = client.get("/profile").text
    assert "Grace Hopper" in page
    assert "Ada" not in page


def test_a_visitor_without_a_session_is_sent_from_the_profile_to_sign_in(client):
    response = client.get("/profile", headers=BROWSER)
    assert (response.status_code, response.location) == (302, "/auth/sign-in?next=%2Fprofile")


# The protected page


def test_the_members_page_shows_the_option_that_protects_it(client, sign_in):
    sign_in()
    page = client.get("/members").text
    assert "<mark>protect=[&#34;/members/*&#34;]</mark>" in page


def test_the_members_page_sends_a_browser_to_sign_in_and_takes_it_back(demo_pool, client):
    back = Visitor(demo_pool, client, FIREFOX).sign_in("ada", "/members?tab=2")
    target = next_page(back)
    assert target == "/members?tab=2"
    assert "For members" in client.get(target).text


def test_the_members_page_answers_a_script_with_401(client):
    assert client.get("/members", headers={"Accept": "application/json"}).status_code == 401


# The page for a group


def test_the_admins_page_opens_for_an_admin(client, sign_in):
    sign_in("ada")
    page = client.get("/admins")
    assert page.status_code == 200
    assert "Welcome, ada." in page.text
    assert "<mark>@require_auth(groups=[&#34;admins&#34;])</mark>" in page.text
    assert "you are in admins" in client.get("/").text


def test_the_admins_page_is_a_pleasant_403_for_anybody_else(client, sign_in):
    sign_in("grace")
    page = client.get("/admins", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert "This page is for admins." in page.text
    assert "no-store" in page.headers["Cache-Control"]
    assert cookies_set(page) == []
    assert "you are in none" in client.get("/").text


def test_from_the_403_somebody_else_signs_in_and_gets_the_page(demo_pool, client, sign_in):
    sign_in("grace")
    link = unescape(re.search('class="button" href="(.+?)"', client.get("/admins").text)[1])
    back = Visitor(demo_pool, client, FIREFOX).sign_in("ada", link)
    assert "Welcome, ada." in client.get(next_page(back)).text


def test_the_admins_page_sends_a_browser_without_a_session_to_sign_in(client):
    response = client.get("/admins", headers=BROWSER)
    assert (response.status_code, response.location) == (302, "/auth/sign-in?next=%2Fadmins")


# The corrupted cookie


def test_a_corrupted_cookie_signs_out_and_is_cleared(client, sign_in):
    sign_in()
    corrupted = client.post("/corrupt")
    assert (corrupted.status_code, corrupted.location) == (303, "/")
    page = client.get("/")
    assert "You are signed out, and the cookie is cleared." in page.text
    (line,) = cookies_set(page)
    assert line.startswith(f"{COOKIE}=;")
    assert "Max-Age=0" in line


def test_the_page_after_a_corrupted_cookie_shows_the_very_header_that_clears_it(client, sign_in):
    sign_in()
    client.post("/corrupt")
    page = client.get("/")
    (line,) = cookies_set(page)
    assert f"Set-Cookie: {line}" in page.text


def test_once_the_cookie_is_cleared_home_is_as_for_any_visitor(client, sign_in):
    sign_in()
    client.post("/corrupt")
    client.get("/")
    assert client.get_cookie(COOKIE) is None
    assert "Who is signed in?" in client.get("/").text


def test_two_cookies_are_not_said_to_be_cleared(client):
    cookie = f"{COOKIE}=one; {COOKIE}=two"
    page = Client(client.application, use_cookies=False).get("/", headers={"Cookie": cookie})
    assert "cleared" not in page.text
    assert cookies_set(page) == []


def test_corrupting_without_a_session_does_nothing(client):
    response = client.post("/corrupt")
    assert (response.status_code, cookies_set(response)) == (303, [])


def test_a_corrupted_cookie_ends_no_session(client, sign_in):
    sign_in()
    client.post("/corrupt")
    sign_in()
    assert len(devices(client)) == 2


@pytest.mark.parametrize("value", ["Abc", "Bbc", "_bc"])
def test_a_corrupted_id_differs_in_its_first_character(value):
    corrupted = with_another_start(value)
    assert (corrupted[0] != value[0], corrupted[1:]) == (True, "bc")


# Devices


def devices(browser: Client) -> list[str]:
    """The names on the list of devices."""
    return re.findall("<li><div><strong>(.+?)</strong>", browser.get("/devices").text)


def handles(browser: Client) -> list[str]:
    """What the list's buttons would end."""
    return re.findall('action="/devices/(.+?)/end"', browser.get("/devices").text)


def test_the_list_names_every_browser_this_one_first(client, sign_in, other):
    sign_in(agent=FIREFOX)
    assert devices(client) == ["Firefox on Windows", "Safari on iPhone"]
    assert devices(other) == ["Safari on iPhone", "Firefox on Windows"]


def test_the_list_marks_this_browser_and_offers_to_end_the_others(client, sign_in, other):
    sign_in()
    page = client.get("/devices").text
    assert "<strong>Firefox on Windows</strong> <span" in page
    assert page.count("this device</span>") == 1
    assert 'aria-label="End the session of Safari on iPhone"' in page
    assert len(handles(client)) == 1


def test_the_list_has_nobody_elses_devices(client, sign_in, other):
    sign_in("grace")
    assert devices(client) == ["Firefox on Windows"]


def test_a_device_that_is_ended_is_signed_out_with_its_next_request(client, sign_in, other):
    sign_in()
    (handle,) = handles(client)
    response = client.post(f"/devices/{handle}/end")
    assert (response.status_code, response.location) == (303, "/devices?notice=device-ended")
    assert notice(client.get(response.location)).startswith("That device is signed out.")
    assert devices(client) == ["Firefox on Windows"]
    assert "You are signed out, and the cookie is cleared." in other.get("/").text
    assert other.get_cookie(COOKIE) is None


def end_the_other(client: Client) -> None:
    (handle,) = handles(client)
    assert client.post(f"/devices/{handle}/end").status_code == 303


@pytest.mark.parametrize("first", [None, "/", "/auth/sign-in"])
@pytest.mark.parametrize("path", ["/members", "/auth/sign-in"])
def test_a_device_that_was_ended_is_asked_for_the_password(client, sign_in, others, path, first):
    sign_in()
    end_the_other(client)
    if first is not None:
        others.get(first)
    with pytest.raises(ValueError, match="nowhere"):
        others.sign_in(None, path)
    assert "Who is signed in?" in others.get("/").text
    others.sign_in("ada", path)
    assert "signed in as ada" in others.get("/").text


def test_the_page_of_a_device_that_was_ended_says_what_comes_next(client, sign_in, others):
    sign_in()
    end_the_other(client)
    page = others.get("/")
    assert "Another device has ended this session." in page.text
    assert "prompt=login" in page.text
    assert "button that corrupts" not in page.text
    assert [line.partition("=")[0] for line in cookies_set(page)] == [COOKIE, "amplify-ask-again"]


def test_a_device_that_corrupted_its_cookie_is_asked_for_nothing(demo_pool, client):
    visitor = Visitor(demo_pool, client, FIREFOX)
    visitor.sign_in()
    client.post("/corrupt")
    page = visitor.get("/").text
    assert "means nothing here" in page
    assert "asks for no password" in page
    visitor.sign_in(None)
    assert "signed in as ada" in client.get("/").text


def test_every_other_device_is_asked_after_a_sign_out_everywhere(client, sign_in, others):
    sign_in()
    sign_out(client, "/sign-out-everywhere")
    with pytest.raises(ValueError, match="nowhere"):
        others.sign_in(None, "/members")


def test_nobody_ends_somebody_elses_device(client, sign_in, other):
    sign_in("ada")
    (adas,) = handles(client)
    sign_in("grace")
    client.post(f"/devices/{adas}/end")
    assert devices(other) == ["Safari on iPhone"]


@pytest.mark.parametrize("handle", ["nothing", "%00%C3%A9", "<b>"])
def test_a_handle_that_there_is_not_ends_nothing(client, sign_in, other, handle):
    sign_in()
    assert client.post(f"/devices/{handle}/end").status_code == 303
    assert len(devices(client)) == 2


def test_the_list_needs_somebody_signed_in(client):
    response = client.get("/devices", headers=BROWSER)
    assert (response.status_code, response.location) == (302, "/auth/sign-in?next=%2Fdevices")


def test_the_list_shows_the_very_functions_that_made_it(client, sign_in):
    sign_in()
    page = client.get("/devices").text
    assert "<mark>list_sessions()</mark>,\n        time.time()," in page
    assert "<mark>end_session_by_handle</mark>(" in page


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (IPHONE, "Safari on iPhone"),
        ("(X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("(Linux; Android 15) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("(Macintosh) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Mac"),
        ("curl/8.14.1", "curl"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(user_agent, words):
    assert in_words(user_agent) == words


# Signing out


def sign_out(browser: Client, path: str = "/auth/sign-out") -> str:
    """Press a button that signs out; where at the pool the page leads that comes then."""
    page = browser.post(path, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)
    return next_page(page)


SIGN_OUTS = ["/auth/sign-out", "/sign-out-everywhere"]


@pytest.mark.parametrize("path", SIGN_OUTS)
def test_signing_out_clears_the_cookie(client, sign_in, path):
    sign_in()
    sign_out(client, path)
    assert client.get_cookie(COOKIE) is None


@pytest.mark.parametrize("path", SIGN_OUTS)
def test_whoever_has_signed_out_is_asked_for_the_password_again(demo_pool, client, path):
    visitor = Visitor(demo_pool, client, FIREFOX)
    visitor.sign_in()
    back = demo_pool.authorize(sign_out(client, path), None, cookies=visitor.pool_cookies)
    home = client.get(back.removeprefix(ORIGIN)).location
    assert notice(client.get(home)) == "You are signed out, here and at the user pool."
    with pytest.raises(ValueError, match="nowhere"):
        visitor.sign_in(None)


def test_without_signing_out_the_pool_asks_for_no_password_again(demo_pool, client):
    visitor = Visitor(demo_pool, client, FIREFOX)
    visitor.sign_in()
    client.delete_cookie(COOKIE)
    visitor.sign_in(None)
    assert "signed in as ada" in client.get("/").text


@pytest.mark.parametrize("path", SIGN_OUTS)
def test_no_answer_to_a_form_redirects_to_another_site(client, sign_in, path):
    """Browsers would stop there: `form-action 'self'` is for redirects, too."""
    sign_in()
    assert "form-action 'self';" in client.get("/devices").headers["Content-Security-Policy"]
    answer = client.post(path)
    while answer.location is not None:
        assert answer.location.startswith("/")
        assert answer.status_code == 307
        answer = client.post(answer.location)


def test_after_signing_out_the_members_page_is_closed(client, sign_in):
    sign_in()
    assert client.get("/members").status_code == 200
    sign_out(client)
    assert client.get("/members").status_code == 401


def test_a_session_that_was_signed_out_is_over_for_a_copy_of_its_cookie_too(client, sign_in):
    sign_in()
    copy = client.get_cookie(COOKIE).value
    sign_out(client)
    client.set_cookie(COOKIE, copy)
    assert client.get("/members").status_code == 401


def test_signing_out_leaves_other_devices_alone(client, sign_in, other):
    sign_in()
    sign_out(client)
    assert "signed in as ada" in other.get("/").text


def test_signing_out_everywhere_signs_every_device_out(client, sign_in, other):
    sign_in()
    sign_out(client, "/sign-out-everywhere")
    assert client.get_cookie(COOKIE) is None
    assert "You are signed out" in other.get("/").text


@pytest.mark.parametrize(
    "path", ["/sign-out-everywhere", "/devices/some-handle/end", "/refresh", "/corrupt"]
)
def test_a_link_changes_nothing(client, sign_in, path):
    sign_in()
    assert client.get(path).status_code == 405
    assert "signed in as ada" in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/auth/sign-out", "/sign-out-everywhere", "/devices/{}/end", "/refresh", "/corrupt"]
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_post_from_another_site_is_refused(client, sign_in, other, path, site):
    sign_in()
    path = path.format(*handles(client))
    response = client.post(path, headers={"Sec-Fetch-Site": site})
    assert (response.status_code, cookies_set(response)) == (403, [])
    assert devices(client) == ["Firefox on Windows", "Safari on iPhone"]


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_post_from_this_site_passes(client, sign_in, site):
    sign_in()
    assert client.post("/refresh", headers={"Sec-Fetch-Site": site}).status_code == 303


# Every page


@pytest.mark.parametrize("path", ["/", "/not-signed-in", "/nowhere"])
def test_the_one_stylesheet_is_let_in_by_its_digest(client, path):
    response = client.get(path)
    (style,) = re.findall("<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/", "/not-signed-in", "/profile", "/members", "/admins", "/devices", "/nowhere"]
)
def test_a_page_has_no_script_and_nothing_from_elsewhere(client, sign_in, path):
    sign_in()
    response = client.get(path)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert not re.search(
        r"<script|<[^>]*\s(on\w+|style)=|(src|href|action)=\"?(https?:|//)", response.text
    )


def test_a_page_is_kept_in_no_cache(client, sign_in):
    sign_in()
    assert client.get("/profile").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/nowhere", "/<b>", "/auth"])
def test_an_unknown_path_is_a_page_with_status_404(client, sign_in, path):
    sign_in()
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (404, "text/html")


@pytest.mark.parametrize("path", ["//members", "///members"])
def test_the_members_page_is_closed_under_every_spelling(client, path):
    assert client.get("/", environ_overrides={"PATH_INFO": path}).status_code == 401


def test_a_wrong_method_says_which_is_right(client):
    assert "POST" in client.get("/refresh").headers["Allow"]


def test_pages_can_be_made_without_a_middleware():
    with signed_in("ada", name="Ada"):
        page = pages.profile(make_profile(), code=[make_profile])
    assert "Hello, Ada." in page
