"""What is counted and shown: outcomes by reason, users if asked for, caches, outages."""

import copy
import gc
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from opentelemetry.trace import SpanKind

from amplify_mw import ConfigurationError
from amplify_mw.engine.engine import Engine
from amplify_mw.events import SignedIn
from amplify_mw.otel import OpenTelemetry
from amplify_mw.otel import instruments as counting
from amplify_mw.telemetry import Seen
from amplify_mw.testing import Down, LocalUserPool
from tests.otel.recording import Recording
from tests.patience import PATIENCE
from tests.routes.going import CALLBACK, ORIGIN, Visitor, auth_routes
from tests.sites import HOUR, Build, Clock

ROOT = Path(__file__).parents[2]
OUTCOMES = "amplify_mw.outcomes"


def outcomes(recording: Recording) -> dict[tuple[Any, ...], int]:
    """Counts by outcome, reason, kind and status."""
    names = (
        *("amplify_mw.outcome", "amplify_mw.reason"),
        *("amplify_mw.session.kind", "http.response.status_code"),
    )
    points = recording.points(OUTCOMES)
    assert all(set(attributes) <= set(names) for attributes, _ in points)
    return {
        tuple(attributes[name] for name in names if name in attributes): count
        for attributes, count in points
    }


def test_a_session_from_its_beginning_to_its_end(
    build: Build, clock: Clock, recording: Recording
) -> None:
    site = build("sqlite", telemetry=recording.telemetry())
    browser = site.sign_in()
    assert browser.does(site.who).body == "ada"
    clock.advance(HOUR + 60)
    browser.does(site.who)
    browser.does(site.end())
    site.settle()
    assert outcomes(recording) == {
        ("signed_in", "stored"): 1,
        ("refreshed", "stored"): 1,
        ("signed_out", "stored"): 1,
        ("revoked",): 1,
    }
    assert recording.points("amplify_mw.requests") == []


def test_refusals_by_their_reason(build: Build, recording: Recording) -> None:
    site = build("token", telemetry=recording.telemetry(), protect=["/private"])
    for _ in range(3):
        site.browser({"amplify-session": "junk"}).does(site.who)
    site.browser().does(path="/private")
    assert outcomes(recording) == {
        ("refused", "malformed_token", "token", 401): 3,
        ("refused", "no_session", "token", 401): 1,
    }


def test_a_sign_in_that_comes_to_nothing(build: Build, recording: Recording) -> None:
    site = build("sealed", telemetry=recording.telemetry(), routes=auth_routes())
    Visitor(site).come_back("/auth/sign-in-callback?error=made-up&state=made-up")
    assert outcomes(recording) == {("sign_in_failed", "attempt_expired", "sealed", 400): 1}


def test_text_of_clients_names_no_count(recording: Recording) -> None:
    telemetry = recording.telemetry()
    for number in range(3 * counting._MOST):  # an app's own errors may have any reason
        telemetry.on_refusal(f"made-up {number}", 401, None)
    found = recording.points(OUTCOMES)
    assert len(found) == counting._MOST + 1
    assert sum(count for _, count in found) == 3 * counting._MOST
    other = [count for attributes, count in found if attributes["amplify_mw.reason"] == "_OTHER"]
    assert other == [2 * counting._MOST]


def test_requests_of_users_are_counted_where_asked_for(build: Build, recording: Recording) -> None:
    site = build("sealed", telemetry=recording.telemetry(count_users=True))
    browser = site.sign_in()
    for _ in range(3):
        browser.does(site.who)
    site.browser().does(site.who)
    assert recording.points("amplify_mw.requests") == [({"amplify_mw.session.kind": "sealed"}, 3)]


def test_a_count_in_the_midst_of_another_waits_for_nothing(recording: Recording) -> None:
    telemetry = recording.telemetry(count_users=True)

    def count() -> None:
        with telemetry._instruments._lock:  # as if a signal came here
            telemetry.on_event(SignedIn("app", "token"))
            telemetry.on_request(Seen("a", "token", None))

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# Caches and outages.


def entries(recording: Recording) -> dict[str, int]:
    points = recording.points("amplify_mw.cache.entries")
    return {attributes["amplify_mw.cache"]: value for attributes, value in points}


def test_caches_are_shown_once_however_many_share_them(
    pool: LocalUserPool, clock: Clock, recording: Recording, build: Build
) -> None:
    telemetry, another = recording.telemetry(), recording.telemetry(count_users=True)
    site = build("sealed", telemetry=telemetry)
    browser = site.sign_in()
    browser.does(site.who)
    registry = site.engine._registry
    same = registry.engine(site.config)
    apart = registry.engine(site.config.replace(telemetry=another, protect=["/private"]))
    assert apart is not same
    assert entries(recording) == {"sessions": 1, "attributes": 0}
    ((_, size), _) = recording.points("amplify_mw.cache.size")
    assert size == site.engine.authenticator.verdicts.held > 0


def test_an_engine_that_is_gone_is_shown_no_more(pool: LocalUserPool, recording: Recording) -> None:
    engine = Engine(pool.config(telemetry=recording.telemetry()), clock=lambda: 0.0)
    assert entries(recording) == {"sessions": 0, "attributes": 0}
    del engine
    gc.collect()
    assert entries(recording) == {}
    assert recording.points("amplify_mw.outage") == []


def test_an_outage_and_its_end(
    build: Build, pool: LocalUserPool, clock: Clock, recording: Recording
) -> None:
    def failing() -> set[str]:
        points = recording.points("amplify_mw.outage")
        assert len(points) == 7
        return {attributes["amplify_mw.dependency"] for attributes, value in points if value}

    site = build("sealed", telemetry=recording.telemetry())
    browser = site.sign_in()
    assert failing() == set()
    clock.advance(HOUR + 60)
    with pool.fault("GetTokensFromRefreshToken", Down()):
        browser.does(site.who)
    assert failing() == {"refresh"}
    clock.advance(60)
    browser.does(site.who)
    assert failing() == set()


# Providers, copies, forks.


def test_the_global_provider_may_be_set_later() -> None:
    script = """
import sys
from amplify_mw.events import SignedIn
from amplify_mw.otel import OpenTelemetry
telemetry = OpenTelemetry()
telemetry.on_event(SignedIn("app", "token"))
from opentelemetry import metrics, trace
from tests.otel.recording import Recording
recording = Recording()
metrics.set_meter_provider(recording.meters)
trace.set_tracer_provider(recording.traces)
telemetry.begin("refresh").end(None)
explicit = OpenTelemetry(meter_provider=metrics.get_meter_provider())
assert explicit._instruments is telemetry._instruments
explicit.on_event(SignedIn("app", "token"))
assert [span.name for span in recording.spans] == ["amplify_mw.refresh"]
durations = recording.points("amplify_mw.operation.duration")
assert durations == [({"amplify_mw.operation": "refresh"}, 1)]
assert [count for _, count in recording.points("amplify_mw.outcomes")] == [2]
import os
child = os.fork()
if not child:
    telemetry.on_event(SignedIn("app", "token"))
    counted = [count for _, count in recording.points("amplify_mw.outcomes")]
    os._exit(0 if counted == [1] else 1)
assert os.waitpid(child, 0)[1] == 0
print("done")
"""
    run(script, "done")


def test_a_global_provider_that_was_given_before_has_one_set_of_counts() -> None:
    script = """
from opentelemetry import metrics
from amplify_mw.events import SignedIn
from amplify_mw.otel import OpenTelemetry
from tests.otel.recording import Recording
recording = Recording()
given = recording.telemetry()
metrics.set_meter_provider(recording.meters)
for telemetry in (given, OpenTelemetry()):
    telemetry.on_event(SignedIn("app", "token"))
print([count for _, count in recording.points("amplify_mw.outcomes")])
"""
    run(script, "[2]")


def test_without_the_extra_the_import_says_what_to_install() -> None:
    script = """
import sys
sys.modules["opentelemetry"] = None
from amplify_mw import AmplifyConfig, ConfigurationError
try:
    from amplify_mw.otel import OpenTelemetry
except ConfigurationError as error:
    print(error)
"""
    run(script, "amplify_mw.otel needs OpenTelemetry: pip install 'amplify-mw[otel]'")


def run(script: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.stdout.strip(), done.returncode) == (says, 0), done.stderr


def test_equal_options_are_equal_and_make_one_engine(
    pool: LocalUserPool, recording: Recording
) -> None:
    key = "A" * 43
    options: list[dict[str, Any]] = [{}, {"user_on_span": "hashed", "hash_key": key}]
    for each in options:
        one, other = recording.telemetry(**each), recording.telemetry(**each)
        assert one == other
        assert hash(one) == hash(other)
        assert Engine.of(pool.config(telemetry=one)) is Engine.of(pool.config(telemetry=other))
    assert OpenTelemetry() != recording.telemetry()
    assert OpenTelemetry() != OpenTelemetry(count_users=True)
    assert OpenTelemetry() != "OpenTelemetry()"


def test_a_configuration_with_it_is_copied_and_pickled(
    pool: LocalUserPool, recording: Recording
) -> None:
    config = pool.config(telemetry=OpenTelemetry(count_users=True))
    for made in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert made == config
        assert made.telemetry == OpenTelemetry(count_users=True)
    own = recording.telemetry()
    assert copy.deepcopy(own) is own
    with pytest.raises(ConfigurationError, match=r"cannot be pickled.*write OpenTelemetry\(\)"):
        pickle.dumps(own)


def test_its_repr_shows_no_key() -> None:
    made = OpenTelemetry(user_on_span="hashed", hash_key="B" * 42 + "A")
    assert repr(made) == "OpenTelemetry(user_on_span='hashed')"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user_on_span": True}, "user_on_span: write 'plain' or 'hashed'"),
        ({"user_on_span": "hashed"}, "hash_key: .*keygen"),
        ({"hash_key": "A" * 43}, "hash_key: it is for"),
        ({"user_on_span": "hashed", "hash_key": "short"}, "keygen"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        OpenTelemetry(**options)


# Secrets.


def test_nothing_secret_leaves_a_process(
    build: Build, pool: LocalUserPool, clock: Clock, recording: Recording
) -> None:
    telemetry = recording.telemetry(user_on_span="hashed", hash_key="A" * 43, count_users=True)
    site = build("sqlite", telemetry=telemetry, routes=auth_routes(), keys=None)
    visitor = Visitor(site)
    secrets: set[str] = set()

    def note(url: str = "") -> None:
        secrets.update(visitor.jar.values())
        secrets.update(value for _, value in parse_qsl(urlsplit(url).query) if len(value) > 12)

    with recording.tracer.start_as_current_span("all", kind=SpanKind.SERVER):
        away = visitor.leave()
        note(away)
        back = pool.authorize(away, "ada")
        note(back)
        visitor.come_back(back)
        note()
        visitor.does(lambda: secrets.update(tokens_of(site)) or "")
        clock.advance(HOUR + 60)
        visitor.does(lambda: secrets.update(tokens_of(site)) or "")
        visitor.does(site.verbs.fetch_user_attributes, path="/path-of-a-visitor", query="q=1")
        note()
        visitor.go("/auth/sign-out", method="POST")
        site.browser({"amplify-session": "a-made-up-value"}).does(site.who)
    site.settle()
    sent = recording.everything()
    assert {"amplify_mw.code_exchange", "amplify_mw.revoke"} <= {s.name for s in recording.spans}
    secrets |= {"ada@example.com", "path-of-a-visitor", "a-made-up-value", "A" * 43}
    secrets -= {CALLBACK, ORIGIN, pool.client_id}
    assert len(secrets) > 12
    assert [secret for secret in secrets if len(secret) > 5 and secret in sent] == []


def tokens_of(site: Any) -> set[str]:
    tokens = site.verbs.fetch_auth_session().tokens
    return {tokens.id_token.encoded, tokens.access_token.encoded}
