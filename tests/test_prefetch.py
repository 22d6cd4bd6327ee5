"""Prefetches and prerenders: nothing begins or ends before somebody opens a page."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import require_auth
from amplify_mw.web.requests import is_speculative
from tests.routes.going import auth_routes
from tests.shells import ASGIShell, Ask, AwaitingShell, Got, WSGIShell, shells
from tests.sites import KINDS, Browser, Build, infos, outcome

# As Chromium 156 sends them, for a page of this site and for one of a sibling's alike.
TYPED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PREFETCH = {**TYPED, "Sec-Purpose": "prefetch", "Sec-Speculation-Tags": "null"}
REFUSED = "ForbiddenException speculative_request"
PURPOSES = [
    "prefetch",
    "prefetch;prerender",
    "prefetch;anonymous-client-ip",
    "prefetch; prerender, prefetch",
    "PREFETCH",
    "preview",
    "something-of-2031;a=1",
    "?1",
    "",
    ",;,",
    '"unclosed',
    "\xff\x00\xe9",
    "prefetch" * 12_500,
]


shell = shells(WSGIShell, ASGIShell, AwaitingShell)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prefetch_neither_starts_nor_ends_a_session(build: Build, kind: str) -> None:
    site = build(kind)
    tokens, stranger, browser = site.pool.sign_in("ada"), site.browser(), site.sign_in("grace")
    for options in ({}, {"allow_cross_site": True}):
        starting = stranger.does(site.start(tokens, **options), headers=PREFETCH)
        ends = (site.end(**options), site.end(everywhere=True, **options))
        ending = browser.does(*ends, headers=PREFETCH)
        assert (starting.body, ending.body) == (REFUSED, f"{REFUSED}, {REFUSED}")
        assert starting.all("set-cookie") == ending.all("set-cookie") == []
    assert browser.does().body == "grace"


def test_a_prefetch_ends_no_other_device_either(build: Build) -> None:
    site = build()
    browser, other = site.sign_in(), site.sign_in()
    (handle,) = [info.handle for info in infos(site, browser) if not info.is_current]
    end = site.verbs.end_session_by_handle
    ends = (lambda: end(handle), lambda: end(handle, allow_cross_site=True))
    assert browser.does(*ends, headers=PREFETCH).body == f"{REFUSED}, {REFUSED}"
    assert other.does().body == "ada"
    assert browser.does(*ends).body == "True, False"


def test_any_purpose_is_one(build: Build) -> None:
    browser = build().sign_in()
    for purpose in PURPOSES:
        got = browser.does(browser.site.end(), headers={**TYPED, "Sec-Purpose": purpose})
        assert (got.status, got.body) == (200, REFUSED), purpose[:40]
    assert browser.does().body == "ada"


@pytest.mark.parametrize(
    ("name", "value", "is_refused"),
    [
        ("Purpose", "prefetch", True),
        ("Purpose", "Prefetch", True),
        ("X-Moz", "prefetch", True),
        ("X-Purpose", "preview", True),
        ("X-Purpose", ": preview", True),
        ("Purpose", "payment", False),
        ("Purpose", "", False),
        ("X-Moz", "microsummary", False),
        ("X-Sec-Purpose", "prefetch", False),
    ],
)
def test_what_browsers_said_before_counts_too(
    build: Build, name: str, value: str, is_refused: bool
) -> None:
    browser = build().sign_in()
    got = browser.does(browser.site.end(), headers={**TYPED, name: value})
    assert (got.body == REFUSED) is is_refused


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"sec-purpose", b"purpose", b"x-moz", b"Sec-Purpose", b"host"]),
            st.binary(max_size=40),
        )
    )
)
def test_whatever_is_sent_is_told_apart(headers: list[tuple[bytes, bytes]]) -> None:
    named = {name.lower() for name, _ in headers}
    told = is_speculative(headers)
    assert told or b"sec-purpose" not in named
    assert not told or named & {b"sec-purpose", b"purpose", b"x-moz"}


# A WSGI server joins them, which is among the purposes above.
@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_one_of_several_headers_is_enough(build: Build, shell: ASGIShell) -> None:
    browser = build().sign_in()
    scope = shell.scope(Ask(cookies=browser.header))
    scope["headers"] += [(b"sec-purpose", b""), (b"sec-purpose", b"\xff"), (b"purpose", b"x")]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    app = browser.site.app(lambda: outcome(browser.site.end()))
    asyncio.run(app(scope, receive, send))
    assert sent[1]["body"].decode() == REFUSED


def test_a_click_on_the_same_link_is_heard(build: Build) -> None:
    browser = build().sign_in()
    assert browser.does(browser.site.end(), headers=PREFETCH).body == REFUSED
    click = {**TYPED, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": "?1"}
    assert browser.does(browser.site.end(), headers=click).body == "None"


def test_the_refusal_is_answered_403_and_in_the_log(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="amplify_mw")
    browser = build().sign_in()
    headers = {**PREFETCH, "Sec-Purpose": "pre\nfetch\x1b[31m"}
    got = browser.ask(lambda: str(browser.site.end()()), headers=headers)
    assert (got.status, got.all("set-cookie"), got.one("cache-control")) == (403, [], "no-store")
    assert "speculative_request" not in got.body
    lines = [line for line in caplog.messages if "speculative_request" in line]
    assert [line.partition(":")[0] for line in lines] == ["end_session refused", "answered 403"]
    assert "\x1b" not in caplog.text


# The guard.


def opened(browser: Browser, path: str = "/account", **headers: str) -> Got:
    return browser.does(path=path, headers={**TYPED, "Accept": "text/html", **headers})


def test_a_protected_page_that_is_prefetched_leads_nowhere(build: Build) -> None:
    browser = build(protect=["/account"], routes=auth_routes()).browser()
    for purpose in PURPOSES:
        got = opened(browser, **{"Sec-Purpose": purpose})
        assert (got.status, got.one("location"), got.all("set-cookie")) == (401, None, [])
        assert got.one("cache-control") == "no-store"
    assert opened(browser).status == 302


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "same-origin"])
def test_it_makes_no_hop_either(build: Build, site: str) -> None:
    browser = build(protect=["/account"], routes=auth_routes()).browser()
    got = opened(browser, **{"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Site": site})
    assert (got.status, got.all("set-cookie")) == (401, [])


def test_a_page_that_asks_for_a_user_leads_nowhere_either(build: Build) -> None:
    site = build(login_url="/login")
    view = require_auth(lambda: "inside")
    headers = {**PREFETCH, "Accept": "text/html"}
    assert site.browser().ask(view, headers=headers).status == 401
    assert site.browser().ask(view, headers={**TYPED, "Accept": "text/html"}).status == 302


def test_who_is_signed_in_has_the_page_that_is_prefetched(build: Build) -> None:
    browser = build(protect=["/account"], routes=auth_routes()).sign_in()
    got = opened(browser, **PREFETCH)
    assert (got.status, got.body) == (200, "ada")


def test_a_cookie_that_means_nothing_is_cleared_all_the_same(build: Build) -> None:
    browser = build(protect=["/account"]).browser({"amplify-session": "junk"})
    got = opened(browser, **PREFETCH)
    assert (got.status, got.clears_cookie) == (401, True)


def test_a_prefetched_page_that_refreshes_keeps_the_new_tokens(build: Build) -> None:
    """Chromium keeps the cookies that a prefetch sets."""
    site = build("sealed")
    browser = site.sign_in()
    before = browser.value
    site.clock.advance(3_590)
    assert browser.does(headers=PREFETCH).body == "ada"
    assert browser.value != before
    assert browser.does().body == "ada"
