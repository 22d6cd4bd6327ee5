"""The handle and the address in events: known without a store, from one header alone."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplify_mw import ConfigurationError, SealedSession, StoredSession, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.events import Event, Refused, SignedIn, SignedOut, SignInFailed
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.client_address import client_address
from tests.audit.conftest import Build
from tests.routes.going import Visitor, auth_routes
from tests.sites import KEYS, NAME, Clock, Site, infos

FORWARDED = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
HEADER = "X-Forwarded-For"


def told(site: Site, events: list[Event]) -> list[Any]:
    """The events since the last time."""
    site.settle()
    found, events[:] = list(events), []
    return found


@pytest.fixture
def events() -> list[Event]:
    return []


# The handle.


def test_events_of_a_stored_session_name_its_handle_from_its_beginning_to_its_end(
    build: Build, events: list[Event]
) -> None:
    site = build(on_event=events.append)
    browser = site.sign_in()
    [info] = infos(site, browser)
    browser.ask(require_auth(groups=["admins"])(lambda: "page"))
    browser.does(site.end())
    found = [event for event in told(site, events) if hasattr(event, "handle")]
    assert [type(event) for event in found] == [SignedIn, Refused, SignedOut]
    assert {event.handle for event in found} == {info.handle}


def test_an_end_by_handle_names_the_session_that_has_ended(
    build: Build, events: list[Event]
) -> None:
    site = build(on_event=events.append)
    site.sign_in()
    browser = site.sign_in()
    for info in sorted(infos(site, browser), key=lambda info: info.is_current):
        told(site, events)
        browser.does(lambda info=info: site.verbs.end_session_by_handle(info.handle))  # type: ignore[misc]
        ended = [event for event in told(site, events) if isinstance(event, SignedOut)]
        assert [(event.how, event.handle) for event in ended] == [("handle", info.handle)]


def test_a_session_that_a_sign_in_replaces_is_named_too(build: Build, events: list[Event]) -> None:
    site = build(on_event=events.append)
    browser = site.sign_in()
    [before] = infos(site, browser)
    browser.does(site.start(site.pool.sign_in("grace")))
    [after] = infos(site, browser)
    found = {type(event): event for event in told(site, events)}
    assert found[SignedOut].handle == before.handle
    assert found[SignedIn].handle == after.handle


def test_an_end_everywhere_names_the_session_it_was_asked_with(
    build: Build, events: list[Event]
) -> None:
    site = build(on_event=events.append)
    site.sign_in()
    browser = site.sign_in()
    [info] = [info for info in infos(site, browser) if info.is_current]
    told(site, events)
    browser.does(site.end(everywhere=True))
    ended = [event for event in told(site, events) if isinstance(event, SignedOut)]
    assert [(event.how, event.handle) for event in ended] == [("everywhere", info.handle)]


def test_a_sign_in_at_the_routes_names_the_session_it_replaces(
    build: Build, events: list[Event]
) -> None:
    site = build(on_event=events.append, routes=auth_routes())
    visitor = Visitor(site)
    visitor.sign_in()
    [first] = told(site, events)
    visitor.sign_in(prompt="login")
    found = {type(event): event for event in told(site, events)}
    assert (found[SignedOut].how, found[SignedOut].handle) == ("replaced", first.handle)
    assert found[SignedIn].handle not in (None, first.handle)


def test_a_sign_out_route_names_the_session_that_nobody_has_read(
    build: Build, events: list[Event]
) -> None:
    site = build(on_event=events.append, routes=auth_routes())
    visitor = Visitor(site)
    visitor.sign_in()
    [begun] = told(site, events)
    visitor.go("/auth/sign-out", method="POST")
    [ended] = [event for event in told(site, events) if isinstance(event, SignedOut)]
    assert ended.handle == begun.handle is not None


def test_a_session_of_no_list_has_no_handle(build: Build, events: list[Event]) -> None:
    site = build(on_event=events.append, session=SealedSession(keys=KEYS[:1]))
    site.sign_in().does(site.end())
    assert {getattr(event, "handle", None) for event in told(site, events)} == {None}


def test_among_several_kinds_the_listed_ones_session_has_its_handle(
    build: Build, clock: Clock, events: list[Event]
) -> None:
    kinds = [StoredSession(MemoryStore(clock=clock)), SealedSession(keys=KEYS[:1])]
    site = build(on_event=events.append, session=kinds)
    browser = site.sign_in()
    [info] = infos(site, browser)
    assert [event.handle for event in told(site, events)] == [info.handle]


# The address.


def test_every_event_of_a_request_has_the_address(build: Build, events: list[Event]) -> None:
    options = {"client_address": HEADER, "protect": ["/account"], "routes": auth_routes()}
    site = build(on_event=events.append, **options)
    browser = site.browser()
    browser.does(site.start(site.pool.sign_in("ada")), headers=FORWARDED)
    browser.ask(lambda: "page", path="/auth/sign-in-callback", headers=FORWARDED)
    browser.does(site.start({"access_token": "junk"}), headers=FORWARDED)
    site.browser({NAME: "junk"}).does(headers=FORWARDED)
    site.browser().ask(lambda: "page", path="/account", headers=FORWARDED)
    browser.does(site.end(), headers=FORWARDED)
    found = [event for event in told(site, events) if hasattr(event, "address")]
    kinds = {type(event) for event in found}
    assert kinds == {SignedIn, SignInFailed, Refused, SignedOut}
    assert {event.address for event in found} == {"203.0.113.7"}
    assert "203.0.113.7" not in repr(found)


def test_without_the_option_the_header_is_not_read(build: Build, events: list[Event]) -> None:
    site = build(on_event=events.append)
    site.browser().does(site.start(site.pool.sign_in("ada")), headers=FORWARDED)
    assert [event.address for event in told(site, events)] == [None]


@pytest.mark.parametrize(("trusted", "address"), [(1, "203.0.113.7"), (2, "6.6.6.6"), (3, None)])
def test_as_many_entries_count_as_there_are_proxies(
    build: Build, events: list[Event], trusted: int, address: str | None
) -> None:
    site = build(on_event=events.append, client_address=HEADER, trusted_proxies=trusted)
    site.browser({NAME: "junk"}).does(headers=FORWARDED)
    assert [event.address for event in told(site, events)] == [address]


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An app that is not called."""
    raise AssertionError((scope, receive, send))


def test_a_websocket_that_is_refused_has_it_too(pool: LocalUserPool) -> None:
    events: list[Event] = []
    app = AmplifyASGIMiddleware(
        nothing, pool.config(protect=["/*"], client_address=HEADER, on_event=events.append)
    )
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"X-Forwarded-For", b"[2001:db8::7]:443")]
    scope: dict[str, Any] = {"type": "websocket", "path": "/", "headers": headers, "extensions": {}}

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        del message

    asyncio.run(app(scope, receive, send))
    assert [(type(event), event.address) for event in events] == [(Refused, "2001:db8::7")]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:4711\t", "203.0.113.7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0\n", None),
        ("203.0.113.07", None),
        ("203.0.113.7:", None),
        ("[203.0.113.7", None),
        ("203.0.113.7 203.0.113.8", None),
        ("\u0662\u0660\u0663.0.113.7", None),
        ("unknown", None),
        ("_hidden", None),
        ("3405803783", None),
        ("", None),
        ("203.0.113.7,", None),
    ],
)
def test_only_an_address_is_one(said: str, address: str | None) -> None:
    assert client_address({"HTTP_X_FORWARDED_FOR": said}, HEADER) == address


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7:4711", "2001:db8::7"),
        ("2001:db8::7", None),
        ("203.0.113.7", None),
    ],
)
def test_cloudfront_writes_the_port_without_brackets(said: str, address: str | None) -> None:
    headers = {"HTTP_CLOUDFRONT_VIEWER_ADDRESS": said}
    assert client_address(headers, "CloudFront-Viewer-Address") == address


@given(st.text(max_size=80) | st.text(alphabet="0123456789abcdef.:[]%, \n", max_size=40))
@example("::1%\u202e\n")
def test_no_other_text_of_a_client_becomes_an_address(said: str) -> None:
    found = client_address({"HTTP_X_FORWARDED_FOR": said}, HEADER)
    assert found is None or set(found) <= set("0123456789abcdef.:")


@pytest.mark.parametrize(
    "options",
    [
        {"client_address": "X Forwarded"},
        {"client_address": "X_Forwarded_For"},
        {"client_address": True},
        {"client_address": "Forwarded"},
        {"client_address": HEADER, "trusted_proxies": 0},
        {"client_address": HEADER, "trusted_proxies": True},
        {"client_address": HEADER, "trusted_proxies": 17},
    ],
)
def test_options_that_cannot_work_are_refused(pool: LocalUserPool, options: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"client_address|trusted_proxies"):
        pool.config(**options)
