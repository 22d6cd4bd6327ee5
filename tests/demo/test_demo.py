"""The demo's site, through Werkzeug's test client, with a real user pool."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, EnvironBuilder, TestResponse
from werkzeug.wrappers import Request

from amplify_mw.demo import pages
from amplify_mw.demo.device import in_words
from amplify_mw.demo.people import PASSWORD, PEOPLE, add_people
from amplify_mw.demo.profile import make_profile
from amplify_mw.demo.site import make_app, next_page, with_another_start
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.testing.pool import Down, Throttling

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
    with LocalUserPool(clock=pool_clock) as pool:
        add_people(pool)
        yield pool


@pytest.fixture
def client(demo_pool: LocalUserPool) -> Iterator[Client]:
    with closing(make_app(demo_pool, ORIGIN)) as app:
        yield Client(app)


@pytest.fixture
def sign_in(client: Client) -> Callable[..., TestResponse]:
    def post(
        username: str = "ada", password: str = PASSWORD, *, wants: str = "", agent: str = FIREFOX
    ) -> TestResponse:
        query = {"next": wants} if wants else None
        form = {"username": username, "password": password}
        headers = {"User-Agent": agent}
        return client.post("/sign-in", query_string=query, data=form, headers=headers)

    return post


@pytest.fixture
def other(client: Client) -> Client:
    """Another browser, an iPhone's, where Ada is signed in."""
    other = Client(client.application)
    form = {"username": "ada", "password": PASSWORD}
    other.post("/sign-in", data=form, headers={"User-Agent": IPHONE})
    return other


def cookies_set(response: TestResponse) -> list[str]:
    return response.headers.getlist("Set-Cookie")


# Home


def test_home_asks_a_visitor_to_sign_in_and_says_who_can(client):
    page = client.get("/").text
    assert "/sign-in" in page
    assert all(person.username in page for person in PEOPLE)


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
    assert (response.status_code, response.location) == (303, "/")
    assert demo_pool.count("GetTokensFromRefreshToken") == 1


@pytest.mark.parametrize("path", ["/refresh", "/devices/end"])
def test_a_button_of_somebody_who_was_signed_out_meanwhile_leads_on(client, path):
    assert client.post(path).status_code == 303


@pytest.mark.parametrize("path", ["/", "/profile", "/members", "/devices"])
def test_no_page_shows_the_id_or_a_token(client, sign_in, path):
    sign_in()
    page = client.get(path).text
    assert client.get_cookie(COOKIE).value not in page
    assert "eyJ" not in page


# Signing in


def test_signing_in_leads_to_the_profile(sign_in):
    response = sign_in()
    assert (response.status_code, response.location) == (303, "/profile")


def test_signing_in_sets_the_cookie_as_the_policy_says(sign_in):
    (line,) = cookies_set(sign_in())
    assert re.match(rf"{COOKIE}=[\w-]{{43}}; Max-Age=3[56]\d\d; ", line)
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(line.split("; "))


def test_signing_in_again_ends_the_session_that_was_there(client, sign_in):
    sign_in("ada")
    before = client.get_cookie(COOKIE).value
    sign_in("grace")
    client.set_cookie(COOKIE, before)
    assert "You are signed out" in client.get("/").text


def test_signing_in_asks_the_pool_over_http(demo_pool, sign_in):
    sign_in()
    assert demo_pool.count("InitiateAuth") == 1


@pytest.mark.parametrize(
    ("username", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada", "\0é")]
)
def test_a_wrong_password_is_an_error_on_the_form(sign_in, username, password):
    response = sign_in(username, password)
    assert response.status_code == 401
    assert 'role="alert"' in response.text
    assert cookies_set(response) == []


def test_an_account_that_was_never_confirmed_is_told_so(sign_in):
    assert "never confirmed" in sign_in("alan").text


def test_the_form_keeps_the_user_name_but_not_the_password(sign_in):
    page = sign_in('"><b>ada', "wrong secret").text
    assert 'value="&#34;&gt;&lt;b&gt;ada"' in page
    assert "wrong secret" not in page


def test_a_pool_that_is_down_is_no_wrong_password(demo_pool, sign_in):
    with demo_pool.fault("InitiateAuth", Down()):
        assert sign_in().status_code == 503


def test_an_error_cognito_has_another_name_for_is_named(demo_pool, sign_in):
    with demo_pool.fault("InitiateAuth", Throttling()):
        assert "TooManyRequestsException" in sign_in().text


# The profile


def test_the_profile_shows_the_user_and_the_attributes(client, sign_in):
    sign_in()
    page = client.get("/profile").text
    assert "Hello, Ada Lovelace." in page
    assert "ada@example.com" in page


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
    assert (response.status_code, response.location) == (302, "/sign-in?next=%2Fprofile")


# The protected page


def test_the_members_page_shows_the_option_that_protects_it(client, sign_in):
    sign_in()
    page = client.get("/members").text
    assert "<mark>protect=[&#34;/members/*&#34;]</mark>" in page


def test_the_members_page_sends_a_browser_to_sign_in_and_takes_it_back(client, sign_in):
    away = client.get("/members?tab=2", headers=BROWSER)
    wants = away.location.partition("next=")[2]
    form = {"username": "ada", "password": PASSWORD}
    back = client.post(f"/sign-in?next={wants}", data=form, follow_redirects=True)
    assert back.request.full_path == "/members?tab=2"
    assert "For members" in back.text


def test_the_members_page_answers_a_script_with_401(client):
    assert client.get("/members", headers={"Accept": "application/json"}).status_code == 401


def test_the_sign_in_form_says_where_it_leads(client):
    page = client.get("/sign-in", query_string={"next": "/<members>"}).text
    assert "/&lt;members&gt;" in page


@pytest.mark.parametrize(
    "wants",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "///evil.example",
        "/%2f/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "http://[",
        "\\\\evil.example",
    ],
)
def test_a_hostile_next_leads_nowhere_else(sign_in, wants):
    location = sign_in(wants=wants).location
    assert re.match(r"/[^/\\]", location)
    assert urlsplit(location).netloc == ""


@pytest.mark.parametrize("wants", ["/members", "/a%20b?q=1&r=%2F", "/caf%C3%A9"])
def test_a_local_next_is_followed_as_it_is(sign_in, wants):
    assert sign_in(wants=wants).location == wants


@given(st.text() | st.text(alphabet="/\\:@%25fF.?#\t\r\n evil"))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_whatever_next_says_it_leads_to_this_site(wants):
    builder = EnvironBuilder("/sign-in", query_string={"next": wants})
    target = next_page(Request(builder.get_environ()))
    assert re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", target)


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
    return re.findall('name="handle" value="(.+?)"', browser.get("/devices").text)


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
    response = client.post("/devices/end", data={"handle": handle})
    assert (response.status_code, response.location) == (303, "/devices")
    assert devices(client) == ["Firefox on Windows"]
    assert "You are signed out, and the cookie is cleared." in other.get("/").text
    assert other.get_cookie(COOKIE) is None


def test_nobody_ends_somebody_elses_device(client, sign_in, other):
    sign_in("ada")
    (adas,) = handles(client)
    sign_in("grace")
    client.post("/devices/end", data={"handle": adas})
    assert devices(other) == ["Safari on iPhone"]


@pytest.mark.parametrize("form", [{}, {"handle": ""}, {"handle": "nothing\0é"}])
def test_a_handle_that_there_is_not_ends_nothing(client, sign_in, other, form):
    sign_in()
    assert client.post("/devices/end", data=form).status_code == 303
    assert len(devices(client)) == 2


def test_the_list_needs_somebody_signed_in(client):
    response = client.get("/devices", headers=BROWSER)
    assert (response.status_code, response.location) == (302, "/sign-in?next=%2Fdevices")


def test_the_list_shows_the_very_functions_that_made_it(client, sign_in):
    sign_in()
    page = client.get("/devices").text
    assert "sessions = <mark>list_sessions()</mark>" in page
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


def test_signing_out_clears_the_cookie(client, sign_in):
    sign_in()
    response = client.post("/sign-out")
    assert (response.status_code, response.location) == (303, "/")
    assert client.get_cookie(COOKIE) is None


def test_after_signing_out_the_members_page_is_closed(client, sign_in):
    sign_in()
    assert client.get("/members").status_code == 200
    client.post("/sign-out")
    assert client.get("/members").status_code == 401


def test_a_session_that_was_signed_out_is_over_for_a_copy_of_its_cookie_too(client, sign_in):
    sign_in()
    copy = client.get_cookie(COOKIE).value
    client.post("/sign-out")
    client.set_cookie(COOKIE, copy)
    assert client.get("/members").status_code == 401


def test_signing_out_leaves_other_devices_alone(client, sign_in, other):
    sign_in()
    client.post("/sign-out")
    assert "signed in as ada" in other.get("/").text


def test_signing_out_everywhere_signs_every_device_out(client, sign_in, other):
    sign_in()
    response = client.post("/sign-out-everywhere")
    assert (response.status_code, response.location) == (303, "/")
    assert client.get_cookie(COOKIE) is None
    assert "You are signed out" in other.get("/").text


@pytest.mark.parametrize(
    "path", ["/sign-out", "/sign-out-everywhere", "/devices/end", "/refresh", "/corrupt"]
)
def test_a_link_changes_nothing(client, sign_in, path):
    sign_in()
    assert client.get(path).status_code == 405
    assert "signed in as ada" in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/sign-in", "/sign-out", "/sign-out-everywhere", "/devices/end", "/corrupt"]
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_post_from_another_site_is_refused(client, sign_in, other, path, site):
    sign_in()
    form = {"username": "grace", "password": PASSWORD, "handle": handles(client)[0]}
    response = client.post(path, data=form, headers={"Sec-Fetch-Site": site})
    assert (response.status_code, cookies_set(response)) == (403, [])
    assert devices(client) == ["Firefox on Windows", "Safari on iPhone"]


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_post_from_this_site_passes(client, site):
    form = {"username": "ada", "password": PASSWORD}
    response = client.post("/sign-in", data=form, headers={"Sec-Fetch-Site": site})
    assert response.status_code == 303


# Every page


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nowhere"])
def test_the_one_stylesheet_is_let_in_by_its_digest(client, path):
    response = client.get(path)
    (style,) = re.findall("<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/sign-in", "/profile", "/members", "/devices", "/nowhere"])
def test_a_page_has_no_script_and_nothing_from_elsewhere(client, sign_in, path):
    sign_in()
    response = client.get(path)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert not re.search(
        r"<script|\son\w+=|\sstyle=|(src|href|action)=\"?(https?:|//)", response.text
    )


def test_a_page_is_kept_in_no_cache(client, sign_in):
    sign_in()
    assert client.get("/profile").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/nowhere", "/<b>", "/members/", "/members//"])
def test_an_unknown_path_is_a_page_with_status_404(client, sign_in, path):
    sign_in()
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (404, "text/html")


@pytest.mark.parametrize("path", ["//members", "///members"])
def test_the_members_page_is_closed_under_every_spelling(client, path):
    assert client.get("/", environ_overrides={"PATH_INFO": path}).status_code == 401


def test_an_empty_path_is_home_and_no_redirect_to_the_host_that_was_named(client):
    headers = {"Host": "evil.example"}
    response = client.get("/", environ_overrides={"PATH_INFO": ""}, headers=headers)
    assert response.status_code == 200


def test_a_wrong_method_says_which_is_right(client):
    assert "POST" in client.get("/sign-out").headers["Allow"]


def test_a_form_that_is_too_large_is_refused(client):
    assert client.post("/sign-in", data={"username": "a" * 20_000}).status_code == 413


def test_pages_can_be_made_without_a_middleware():
    with signed_in("ada", name="Ada"):
        page = pages.profile(make_profile(), pages.excerpt(make_profile))
    assert "Hello, Ada." in page
