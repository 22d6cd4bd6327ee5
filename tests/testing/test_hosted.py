"""The pages and redirects of the local user pool's domain."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import httpx2
import pytest

from amplify_mw.testing import AlteredRedirect, AuthorizeError, LocalUserPool, Status
from tests.testing.asking import (
    APP,
    Clock,
    asked,
    client,
    code_for,
    id_claims,
    members,
    redeem,
    returned,
)


@pytest.fixture
def listed(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(
        clock=clock,
        redirect_uris=[APP, "myapp://callback"],
        logout_uris=["https://app.example/bye"],
        identity_providers={"Okta": ["example.com"]},
        adds_iss=True,
    ) as pool:
        pool.add_user("ada")
        yield pool


class Inputs(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.labels: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.values[given["name"]] = given["value"]
        if tag == "label":
            self.labels.add(given["for"])


def fill(browser: httpx2.Client, url: str, **answers: str) -> httpx2.Response:
    """Open a page and send its form, with these answers in place of what stands in it."""
    page = browser.get(url)
    return browser.post(url, data=Inputs(page.text).values | answers)


# To the app and back.


def test_the_browser_comes_back_with_a_code_and_the_state(pool: LocalUserPool) -> None:
    back = returned(pool.authorize(asked(pool), "ada"))
    assert back.keys() == {"code", "state"}
    assert back["state"] == "st"
    assert pool.requests == ["authorize", "login", "login"]


def test_without_a_state_none_comes_back(pool: LocalUserPool) -> None:
    assert returned(pool.authorize(asked(pool, state=None), "ada")).keys() == {"code"}


def test_a_redirect_uri_keeps_its_own_query(pool: LocalUserPool) -> None:
    url = pool.authorize(asked(pool, redirect_uri=f"{APP}?tenant=a%20b"), "ada")
    assert url.startswith(f"{APP}?tenant=a%20b&code=")


def test_the_issuer_goes_along_if_the_pool_adds_it(listed: LocalUserPool) -> None:
    assert returned(listed.authorize(asked(listed), "ada"))["iss"] == listed.issuer
    error = returned(listed.authorize(asked(listed, prompt="none"), None))
    assert (error["error"], error["iss"]) == ("login_required", listed.issuer)


def test_a_listed_redirect_uri_may_have_a_scheme_of_its_own(listed: LocalUserPool) -> None:
    url = listed.authorize(asked(listed, redirect_uri="myapp://callback"), "ada")
    assert url.startswith("myapp://callback?code=")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "id_token"}, "invalid_request"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"scope": "openid everything"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"identity_provider": "Myspace"}, "invalid_request"),
        ({"idp_identifier": "nowhere.example"}, "invalid_request"),
        ({"nonce": "n" * 5000}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login"])
def test_an_error_goes_back_to_the_app_with_the_state(
    pool: LocalUserPool, browser: httpx2.Client, path: str, changes: dict[str, str], error: str
) -> None:
    answer = browser.get(asked(pool, path, **changes))
    assert answer.status_code == 302
    back = returned(answer.headers["location"])
    assert (back["error"], back["state"]) == (error, "st")
    assert back["error_description"]


def test_who_must_not_be_asked_is_not(pool: LocalUserPool) -> None:
    back = returned(pool.authorize(asked(pool, prompt="none"), None))
    assert (back["error"], back["state"]) == ("login_required", "st")
    assert pool.requests == ["authorize"]


@pytest.mark.parametrize("name", ["state", "nonce", "scope", "prompt"])
def test_a_parameter_that_comes_twice_is_an_error(
    pool: LocalUserPool, browser: httpx2.Client, name: str
) -> None:
    answer = browser.get(f"{asked(pool)}&{name}=login&{name}=login")
    assert returned(answer.headers["location"])["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"redirect_uri": None},
        {"redirect_uri": "https://app.example/callback/"},
        {"redirect_uri": "https://app.example/callback?x=1"},
        {"redirect_uri": "https://evil.example/"},
    ],
)
@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login", "/signup"])
def test_without_a_right_client_and_redirect_uri_nobody_is_sent_back(
    listed: LocalUserPool, browser: httpx2.Client, path: str, changes: dict[str, str]
) -> None:
    answer = browser.get(asked(listed, path, **changes))
    wrong = "invalid_request" if "client_id" in changes else "redirect_mismatch"
    assert answer.headers["location"].startswith(f"/error?error={wrong}")
    page = browser.get(f"{listed.url}{answer.headers['location']}")
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert "does not work" in page.text


def test_a_walk_says_what_the_page_says(listed: LocalUserPool) -> None:
    with pytest.raises(ValueError, match=r"redirect_mismatch.*HTTP 400"):
        listed.authorize(asked(listed, redirect_uri="https://evil.example/"), "ada")


def test_a_walk_begins_at_the_pool(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match=r"^url: write one of the pool's"):
        pool.authorize(f"{pool.url}.evil.example/oauth2/authorize", "ada")


def test_nobody_fills_in_a_form_if_nobody_is_there(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match="a form that is not answered"):
        pool.authorize(asked(pool), None)


@pytest.mark.parametrize("name", ["redirect_uris", "logout_uris"])
def test_a_list_of_uris_is_not_one_of_them(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: write a list"):
        LocalUserPool(**{name: APP})


# The sign-in page.


def test_the_page_says_what_it_is_and_labels_its_fields(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    page = browser.get(asked(pool, "/login", login_hint="ada"))
    assert "<title>Sign in - local user pool</title>" in page.text
    assert '<html lang="en">' in page.text
    assert "width=device-width" in page.text
    inputs = Inputs(page.text)
    assert inputs.labels == {"username", "password"}
    assert inputs.values["username"] == "ada"


def test_the_page_has_the_pools_notes_about_its_users(browser: httpx2.Client) -> None:
    with LocalUserPool(notes={"ada": "the password is 'b>a'"}) as pool:
        page = browser.get(asked(pool, "/login")).text
    assert "<dt>ada</dt><dd>the password is &#x27;b&gt;a&#x27;</dd>" in page


def test_the_page_may_load_and_be_framed_by_nothing(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    headers = browser.get(asked(pool, "/login")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' https://app.example"  # or its redirect would not do
    assert policy["style-src"].startswith("'sha256-")
    assert len(policy) == 5
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("username", ["ada", "nobody", "", "Google_17"])
def test_a_wrong_password_shows_the_form_again(
    pool: LocalUserPool, browser: httpx2.Client, username: str
) -> None:
    page = fill(browser, asked(pool, "/login"), username=username, password="wrong")
    assert page.status_code == 400
    assert "Incorrect username or password." in page.text
    assert Inputs(page.text).values["username"] == username
    assert "correct horse" not in page.text
    assert "location" not in page.headers


def test_another_attempt_may_succeed(pool: LocalUserPool, browser: httpx2.Client) -> None:
    url = asked(pool, "/login")
    page = fill(browser, url, username="ada", password="wrong")
    answers = {"username": "ada", "password": "correct horse"}
    answer = browser.post(url, data=Inputs(page.text).values | answers)
    assert "code" in returned(answer.headers["location"])


@pytest.mark.parametrize(
    ("change", "message"),
    [("disable_user", "User is disabled."), ("require_password_reset", "Password reset required")],
)
def test_a_user_who_may_not_is_told_so(pool: LocalUserPool, change: str, message: str) -> None:
    getattr(pool, change)("ada")
    with pytest.raises(ValueError, match=message):
        pool.authorize(asked(pool), "ada")


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_a_form_from_another_site_does_not_count(
    pool: LocalUserPool, browser: httpx2.Client, path: str
) -> None:
    url = asked(pool, path)
    fields = {"username": "ada", "password": "correct horse", "email": "a@b.example"}
    assert browser.post(url, data=fields).status_code == 403
    assert browser.post(url, data=fields | {"_csrf": "guessed"}).status_code == 403
    token = Inputs(browser.get(url).text).values["_csrf"]
    answer = browser.post(url, json=fields | {"_csrf": token})
    assert answer.status_code == 403


def test_two_tabs_each_finish_their_own_sign_in(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    urls = [asked(pool, "/login", state=state) for state in ("one", "two")]
    forms = [Inputs(browser.get(url).text).values for url in urls]
    answers = {"username": "ada", "password": "correct horse"}
    ends = [browser.post(url, data=form | answers) for url, form in zip(urls, forms, strict=True)]
    assert [returned(end.headers["location"])["state"] for end in ends] == ["one", "two"]


# A browser that is signed in at the pool.


def test_the_cookies_are_for_http_alone(pool: LocalUserPool, browser: httpx2.Client) -> None:
    answer = fill(browser, asked(pool, "/login"), username="ada", password="correct horse")
    [cookie] = answer.headers.get_list("set-cookie")
    attributes = set(cookie.split("; ")[1:])
    assert attributes == {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=3600"} | {
        part for part in attributes if part.startswith("Expires=")
    }


def test_a_browser_that_is_signed_in_is_passed_on(pool: LocalUserPool, clock: Clock) -> None:
    cookies: dict[str, str] = {}
    first = returned(pool.authorize(asked(pool), "ada", cookies=cookies))
    clock.now += 60
    for prompt in (None, "none", "consent"):
        again = returned(pool.authorize(asked(pool, prompt=prompt), None, cookies=cookies))
        assert again["code"] != first["code"]
    assert pool.count("login") == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "login"},
        {"prompt": "select_account"},
        {"max_age": "59"},
        {"acr_values": "urn:mfa"},
    ],
)
def test_an_app_may_ask_for_a_fresh_sign_in(
    pool: LocalUserPool, clock: Clock, changes: dict[str, str]
) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    clock.now += 60
    with pytest.raises(ValueError, match="a form that is not answered"):
        pool.authorize(asked(pool, **changes), None, cookies=cookies)
    assert "code" in returned(pool.authorize(asked(pool, **changes), "ada", cookies=cookies))


@pytest.mark.parametrize(("changes", "is_offered"), [({}, True), ({"prompt": "login"}, False)])
def test_whoever_is_signed_in_may_go_on_from_the_page(
    pool: LocalUserPool, browser: httpx2.Client, changes: dict[str, str], is_offered: bool
) -> None:
    url = asked(pool, "/login", **changes)
    fill(browser, url, username="ada", password="correct horse")
    assert ("Continue as ada" in browser.get(url).text) == is_offered
    assert (fill(browser, url, session="continue").status_code == 302) == is_offered


def test_the_time_of_the_sign_in_is_that_of_the_password(pool: LocalUserPool, clock: Clock) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    signed_in_at, clock.now = int(clock.now), clock.now + 60
    assert "code" in returned(pool.authorize(asked(pool, max_age="60"), None, cookies=cookies))
    answer = returned(
        pool.authorize(asked(pool, prompt="none", max_age="59"), None, cookies=cookies)
    )
    assert answer["error"] == "login_required"
    assert id_claims(pool)["auth_time"] == signed_in_at + 60


def test_the_kind_of_sign_in_is_the_first_that_was_asked_for(pool: LocalUserPool) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool, acr_values="urn:mfa urn:key"), "ada", cookies=cookies)
    assert "acr" not in id_claims(pool)
    for wanted in (None, "urn:other urn:mfa"):  # that of the browser's sign-in
        answer = pool.authorize(asked(pool, acr_values=wanted), None, cookies=cookies)
        tokens = redeem(pool, returned(answer)["code"]).json()
        token = tokens["refresh_token"]
        again = redeem(pool, None, grant_type="refresh_token", refresh_token=token).json()
        for name in ("id_token", "access_token"):
            assert members(tokens[name])["acr"] == members(again[name])["acr"] == "urn:mfa"
    answer = pool.authorize(asked(pool, acr_values="urn:key", prompt="none"), None, cookies=cookies)
    assert returned(answer)["error"] == "login_required"


@pytest.mark.parametrize("change", ["disable_user", "delete_user", "require_password_reset"])
def test_a_browser_is_no_longer_signed_in_when_its_user_is_out(
    pool: LocalUserPool, change: str
) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    getattr(pool, change)("ada")
    answer = returned(pool.authorize(asked(pool, prompt="none"), None, cookies=cookies))
    assert answer["error"] == "login_required"


def test_a_new_user_of_an_old_name_is_not_signed_in(pool: LocalUserPool) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    pool.delete_user("ada")
    pool.add_user("ada")
    answer = returned(pool.authorize(asked(pool, prompt="none"), None, cookies=cookies))
    assert answer["error"] == "login_required"


def test_a_browser_is_signed_in_for_an_hour(pool: LocalUserPool, clock: Clock) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    clock.now += 3601
    answer = returned(pool.authorize(asked(pool, prompt="none"), None, cookies=cookies))
    assert answer["error"] == "login_required"


def test_a_made_up_cookie_signs_nobody_in(pool: LocalUserPool) -> None:
    cookies = {"local-pool-session": "made-up"}
    answer = returned(pool.authorize(asked(pool, prompt="none"), None, cookies=cookies))
    assert answer["error"] == "login_required"


# Other identity providers.


def test_a_user_of_another_provider_signs_in_there(pool: LocalUserPool) -> None:
    claims = id_claims(pool, "Google_17", identity_provider="Google")
    [identity] = claims["identities"]
    assert identity["providerName"] == identity["providerType"] == "Google"
    assert (identity["userId"], identity["primary"], identity["issuer"]) == ("17", "true", None)
    assert claims["cognito:username"] == "Google_17"
    assert claims["cognito:groups"] == [f"{pool.user_pool_id}_Google"]


def test_the_page_links_to_the_other_providers(pool: LocalUserPool, browser: httpx2.Client) -> None:
    page = browser.get(asked(pool, "/login"))
    assert "Continue with Google" in page.text
    assert "identity_provider=Google" in page.text


def test_only_the_providers_own_users_can_be_picked(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    url = asked(pool, "/login", identity_provider="Google")
    assert "Google_17" in browser.get(url).text
    page = fill(browser, url, username="ada", password="correct horse")
    assert (page.status_code, "There is no such user." in page.text) == (400, True)


def test_going_on_as_before_is_no_sign_in_at_the_provider(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    fill(browser, asked(pool, "/login"), username="ada", password="correct horse")
    page = fill(browser, asked(pool, "/login", identity_provider="Google"), session="continue")
    assert page.status_code == 400


def test_a_browser_signed_in_otherwise_still_goes_to_the_provider(pool: LocalUserPool) -> None:
    cookies: dict[str, str] = {}
    pool.authorize(asked(pool), "ada", cookies=cookies)
    url = asked(pool, identity_provider="Google", prompt="none")
    assert returned(pool.authorize(url, None, cookies=cookies))["error"] == "login_required"
    pool.authorize(asked(pool, identity_provider="Google"), "Google_17", cookies=cookies)
    assert "code" in returned(pool.authorize(url, None, cookies=cookies))


def test_a_provider_is_found_by_its_identifier(
    listed: LocalUserPool, browser: httpx2.Client
) -> None:
    listed.add_user("Okta_1", identity_provider="Okta")
    url = asked(listed, idp_identifier="example.com")
    assert "code" in returned(listed.authorize(url, "Okta_1"))


# Signing up and out.


def test_signing_up_makes_a_user_who_is_signed_in(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    url = asked(pool, "/signup")
    fields = {"username": "eve", "email": "eve@example.com", "password": "long enough"}
    answer = fill(browser, url, **fields)
    assert "code" in returned(answer.headers["location"])
    assert "code" in returned(browser.get(asked(pool, prompt="none")).headers["location"])
    assert code_for(pool, "eve")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"username": "ada"}, "User already exists"),
        ({"username": ""}, "choose a user name"),
        ({"username": "e" * 129}, "choose a user name"),
        ({"username": "e\nve"}, "choose a user name"),
        ({"email": "eve"}, "Invalid email"),
        ({"password": "short"}, "Password not long enough"),
    ],
)
def test_a_sign_up_that_will_not_do_shows_the_form_again(
    pool: LocalUserPool, browser: httpx2.Client, changes: dict[str, str], message: str
) -> None:
    fields = {"username": "eve", "email": "eve@example.com", "password": "long enough"}
    page = fill(browser, asked(pool, "/signup"), **(fields | changes))
    assert page.status_code == 400
    assert message in page.text


def logged_out(pool: LocalUserPool, **parameters: str) -> str:
    return f"{pool.url}/logout?{urlencode({'client_id': pool.client_id} | parameters)}"


def test_logging_out_ends_the_browsers_sign_in(listed: LocalUserPool) -> None:
    cookies: dict[str, str] = {}
    listed.authorize(asked(listed), "ada", cookies=cookies)
    kept = dict(cookies)
    url = logged_out(listed, logout_uri="https://app.example/bye")
    assert listed.authorize(url, None, cookies=cookies) == "https://app.example/bye"
    assert "local-pool-session" not in cookies
    answer = returned(listed.authorize(asked(listed, prompt="none"), None, cookies=kept))
    assert answer["error"] == "login_required"


def test_logging_out_may_lead_to_another_sign_in(listed: LocalUserPool) -> None:
    url = asked(listed, "/logout")
    assert "code" in returned(listed.authorize(url, "ada"))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"logout_uri": "https://evil.example/"},
        {"logout_uri": "https://app.example/bye", "client_id": "another"},
        {"redirect_uri": "https://evil.example/", "response_type": "code"},
    ],
)
def test_a_logout_to_anywhere_else_is_refused_and_signs_nobody_out(
    listed: LocalUserPool, parameters: dict[str, str]
) -> None:
    cookies: dict[str, str] = {}
    listed.authorize(asked(listed), "ada", cookies=cookies)
    with pytest.raises(ValueError, match="HTTP 400"):
        listed.authorize(logged_out(listed, **parameters), None, cookies=cookies)
    assert "code" in returned(listed.authorize(asked(listed, prompt="none"), None, cookies=cookies))


# Broken providers.


@pytest.mark.parametrize("operation", ["authorize", "login"])
def test_a_provider_may_answer_an_error(pool: LocalUserPool, operation: str) -> None:
    text = 'User <b>said</b> "no"\r\nX: y'
    with pool.fault(operation, AuthorizeError("access_denied", text)):
        back = returned(pool.authorize(asked(pool), "ada"))
    assert back == {"error": "access_denied", "error_description": text, "state": "st"}


def test_an_error_without_a_way_back_is_a_bad_request(
    pool: LocalUserPool, browser: httpx2.Client
) -> None:
    with pool.fault("authorize", AuthorizeError()):
        assert browser.get(asked(pool, redirect_uri="a\r\nb: c")).status_code == 400


def test_what_comes_back_may_be_altered(pool: LocalUserPool) -> None:
    altered = AlteredRedirect({"iss": "https://evil.example", "state": None})
    with pool.fault("login", altered):
        back = returned(pool.authorize(asked(pool), "ada"))
    assert back == {"code": back["code"], "iss": "https://evil.example"}


@pytest.mark.parametrize("operation", ["authorize", "login", "signup", "logout", "userInfo"])
def test_the_domains_pages_can_be_held_and_broken(pool: LocalUserPool, operation: str) -> None:
    path = {"authorize": "/oauth2/authorize", "userInfo": "/oauth2/userInfo"}
    url = asked(pool, path.get(operation, f"/{operation}"))
    with pool.fault(operation, Status(503)), pool.hold(operation) as gate, client() as browser:
        gate.release()
        assert browser.get(url).status_code == 503
        assert (gate.arrivals, pool.count(operation)) == (1, 1)


def test_an_app_client_may_have_scopes_of_a_resource_server() -> None:
    with LocalUserPool(scopes=["orders/write", "orders/read"]) as pool:
        pool.add_user("ada")
        for scope, error in (("orders/read", None), ("orders/delete", "invalid_scope")):
            url = pool.authorize(asked(pool, scope=scope), "ada" if error is None else None)
            assert returned(url).get("error_description") == error
    with pytest.raises(TypeError, match=r"scopes: write a list"):
        LocalUserPool(scopes="orders/read")
