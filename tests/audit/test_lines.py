"""What the audit says of each happening, and how much at most."""

import io
import json
from typing import Any

import pytest

from amplify_mw import AuthError, get_current_user, require_auth
from amplify_mw.audit import AuditLog
from amplify_mw.audit.limits import MAX_FAILURES, MAX_GROUPS, MAX_REFUSALS, Limits
from amplify_mw.events import (
    Event,
    Notice,
    Outage,
    Refreshed,
    Refused,
    Rejection,
    Revoked,
    SignedIn,
    SignedOut,
    SignInFailed,
)
from tests.audit.conftest import Build
from tests.routes.going import auth_routes
from tests.sites import NAME, Clock, infos

Line = dict[str, Any]


class Audit:
    """An audit in memory, whose lines are taken as they come."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.stream = io.BytesIO()
        self.log = AuditLog(self.stream, clock=clock, **options)

    def tell(self, *events: Event) -> list[Line]:
        for event in events:
            self.log(event)
        return self.taken()

    def taken(self) -> list[Line]:
        """The lines since the last time."""
        text = self.stream.getvalue().decode("ascii")
        self.stream.seek(0)
        self.stream.truncate()
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def audit(clock: Clock) -> Audit:
    return Audit(clock)


def brief(line: Line) -> tuple[Any, ...]:
    """What happened, why, to whom and from where."""
    own, event = line["amplify_mw"], line["event"]
    user, address = line.get("user", {}).get("id"), line.get("source", {}).get("ip")
    return event["action"], event.get("reason"), own.get("how"), user, address


FACTS = ("stored", "eu-west-1_Ab12Cd34E", "web", "0f3c9d52", "POST", "/account")


def test_a_line_holds_all_that_an_event_knows(audit: Audit, clock: Clock) -> None:
    clock.now = 1_800_000_000.25
    [line] = audit.tell(SignedIn("app", *FACTS, handle="abc", address="203.0.113.7"))
    assert line.pop("process")["pid"] > 0
    assert line == {
        "@timestamp": "2027-01-15T08:00:00.250Z",
        "ecs": {"version": "8.17.0"},
        "event": {
            "kind": "event",
            "module": "amplify_mw",
            "dataset": "amplify_mw.audit",
            "action": "signed_in",
            "outcome": "success",
            "category": ["authentication", "session"],
            "type": ["start"],
        },
        "user": {"id": "0f3c9d52"},
        "source": {"ip": "203.0.113.7"},
        "http": {"request": {"method": "POST"}},
        "url": {"path": "/account"},
        "amplify_mw": {
            "schema": 1,
            "by": "app",
            "pool": "eu-west-1_Ab12Cd34E",
            "client": "web",
            "session": {"kind": "stored", "handle": "abc"},
        },
    }


def test_a_failed_sign_in_has_its_reason_and_the_pools_own(audit: Audit) -> None:
    event = SignInFailed("provider_error", "routes", 502, "invalid_scope", "why", "mend")
    [line] = audit.tell(event)
    assert (line["event"]["outcome"], line["event"]["reason"]) == ("failure", "provider_error")
    assert line["http"] == {"response": {"status_code": 502}}
    assert (line["error"], line["message"]) == ({"code": "invalid_scope"}, "why")


def test_a_revocation_says_whether_it_was_done(audit: Audit) -> None:
    done, failed = audit.tell(Revoked(True, everywhere=True), Revoked(False, "throttled"))
    assert (done["event"]["action"], done["amplify_mw"]["everywhere"]) == ("revoked", True)
    assert failed["event"]["action"] == "revocation_failed"
    assert (failed["event"]["outcome"], failed["event"]["reason"]) == ("failure", "throttled")


def test_other_events_are_none_of_its_business(audit: Audit) -> None:
    events: list[Event] = [Refreshed(), Outage("keys", over=True), Notice("text")]
    assert audit.tell(*events, Rejection("the app client", "code", "mend", "outcome")) == []
    assert audit.log.lost == 0


# Through a site.


def test_a_session_from_its_sign_in_to_its_end_from_elsewhere(build: Build, audit: Audit) -> None:
    site = build(on_event=audit.log, client_address="X-Real-IP")
    other, browser = site.sign_in(), site.sign_in()
    [info] = [info for info in infos(site, browser) if not info.is_current]
    end = lambda: site.verbs.end_session_by_handle(info.handle)  # noqa: E731
    browser.does(end, headers={"X-Real-IP": "203.0.113.7"})
    other.does()
    browser.does(site.end(everywhere=True))
    site.settle()
    lines = audit.taken()
    sub = lines[0]["user"]["id"]
    assert [brief(line) for line in lines if line["event"]["action"] != "revoked"] == [
        ("signed_in", None, None, sub, None),
        ("signed_in", None, None, sub, None),
        ("signed_out", None, "handle", sub, "203.0.113.7"),
        ("refused", "session_revoked", None, None, None),
        ("signed_out", None, "everywhere", sub, None),
    ]
    ended = [line for line in lines if line["amplify_mw"].get("how") == "handle"]
    handles = [line["amplify_mw"]["session"]["handle"] for line in (lines[0], *ended)]
    assert handles == [info.handle] * 2
    assert {line["event"]["action"] for line in lines} > {"revoked"}


def test_a_known_user_writes_nothing(build: Build, audit: Audit) -> None:
    site = build(on_event=[audit.log])
    browser = site.sign_in()
    audit.taken()
    for _ in range(3):
        assert browser.does().body == "ada"
    assert audit.taken() == []


def test_a_failed_sign_in_at_the_routes(build: Build, audit: Audit) -> None:
    site = build(on_event=audit.log, routes=auth_routes())
    query = "state=a-secret-state"
    site.browser().ask(lambda: "page", path="/auth/sign-in-callback", query=query)
    [line] = audit.taken()
    assert brief(line)[:2] == ("sign_in_failed", "bad_request")
    assert line["amplify_mw"]["by"] == "routes"
    assert "a-secret-state" not in json.dumps(line)


def test_a_user_who_may_not_is_named(build: Build, audit: Audit) -> None:
    site = build(on_event=audit.log)
    browser = site.sign_in()
    [begun] = audit.taken()
    browser.ask(require_auth(groups=["admins"])(lambda: "page"), path="/admin")
    [line] = audit.taken()
    assert brief(line) == ("refused", "missing_group", None, begun["user"]["id"], None)
    assert line["url"] == {"path": "/admin"}
    assert line["http"]["response"] == {"status_code": 403}


def test_no_cookie_of_a_request_gets_into_a_line(build: Build, audit: Audit) -> None:
    site = build(on_event=audit.log)

    def ask() -> str:
        try:
            return get_current_user().username
        except AuthError as error:
            return error.reason

    site.browser({NAME: "a-secret-value"}).ask(ask, headers={"User-Agent": "a-secret-agent"})
    [line] = audit.taken()
    assert "a-secret" not in json.dumps(line)


# How much at most.


def refused(**facts: Any) -> Refused:
    return Refused(**{"reason": "bad_signature", "status": 401, "at": "cookie", **facts})


def test_the_first_refusal_of_a_kind_is_written_at_once_and_the_others_are_a_sum(
    audit: Audit, clock: Clock
) -> None:
    [line] = audit.tell(*[refused()] * 5)
    assert line["event"]["kind"] == "event"
    clock.advance(30)
    assert audit.tell(refused(), Refreshed()) == []
    clock.advance(31)
    [line] = audit.tell(Refreshed())
    assert line["event"]["kind"] == "metric"
    assert (line["event"]["reason"], line["amplify_mw"]["count"]) == ("bad_signature", 5)
    assert line["event"]["start"] < line["event"]["end"] < line["@timestamp"]
    assert len(audit.tell(refused())) == 1  # of the next period


def test_silence_and_single_refusals_make_no_sums(audit: Audit, clock: Clock) -> None:
    audit.tell(refused())
    clock.advance(61)
    assert audit.tell(Refreshed()) == []
    clock.advance(61)
    audit.log.flush()
    assert audit.taken() == []


def test_each_user_session_and_address_is_written_once_a_period(audit: Audit) -> None:
    kinds: list[dict[str, Any]] = [{"user_id": "a"}, {"user_id": "b"}, {"handle": "h"}]
    kinds += [{"address": "::1"}, {"status": 503}]
    lines = audit.tell(*[refused(**kind) for kind in kinds * 3])
    assert len(lines) == len(kinds)


def test_a_flood_is_some_lines_and_a_sum(audit: Audit, clock: Clock) -> None:
    flood = [refused(address=f"2001:db8::{number:x}") for number in range(500)]
    assert len(audit.tell(*flood)) == MAX_REFUSALS
    assert len(audit.tell(*[SignInFailed("bad_request", "routes", 400)] * 500)) == MAX_FAILURES
    assert len(audit.tell(refused(reason="missing_group", user_id="a"))) == 1  # a reason of its own
    clock.advance(61)
    sums = audit.tell(Refreshed())
    assert [(line["event"]["action"], line["amplify_mw"]["count"]) for line in sums] == [
        ("refused", 500 - MAX_REFUSALS),
        ("sign_in_failed", 500 - MAX_FAILURES),
    ]


def test_memory_is_bounded_whatever_comes(audit: Audit) -> None:
    flood = [refused(reason=f"r{number % 2000}", pool_id=str(number)) for number in range(4000)]
    lines = audit.tell(*flood)
    audit.log.flush()
    sums = audit.taken()
    assert len(sums) <= MAX_GROUPS + 1
    assert len(lines) + sum(line["amplify_mw"]["count"] for line in sums) == 4000
    assert sums[-1]["event"]["reason"] == "other"


def test_addresses_are_not_kept_for_reasons_beyond_the_limit(clock: Clock) -> None:
    limits = Limits(60.0)
    for number in range(2000):
        limits.admits(refused(reason=f"r{number}", address=str(number)), clock.now)
    assert len(limits._seen) == MAX_GROUPS


def test_a_clock_that_was_set_back_ends_the_period(audit: Audit, clock: Clock) -> None:
    audit.tell(refused(), refused())
    clock.advance(-3600)
    [line] = audit.tell(Refreshed())
    assert line["amplify_mw"]["count"] == 1
    clock.advance(3600)


def test_a_sign_out_and_what_replaced_it(audit: Audit) -> None:
    [line] = audit.tell(SignedOut("replaced"))
    assert line["event"]["type"] == ["end"]
    assert line["amplify_mw"] == {"schema": 1, "how": "replaced"}
