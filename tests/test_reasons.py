"""Every reason: it is explained, a request gets what the explanation says, and all say one word."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest

from amplify_mw.audit import AuditLog
from amplify_mw.diagnostics import inspect_credential
from amplify_mw.errors import Reason
from amplify_mw.events import Refused, SignInFailed
from amplify_mw.otel import OpenTelemetry
from amplify_mw.reasons import EXPLANATIONS, Answer, explain
from amplify_mw.routes.failures import Code
from amplify_mw.testing import LocalUserPool
from tests.otel.recording import Recording
from tests.scenarios import RULED, SCENARIOS, Scenario, Stage
from tests.shells import Shell
from tests.sites import Clock

CODES = {str(code) for code in Code}
ANSWERS = {
    (code, answer.status): answer for code, each in EXPLANATIONS.items() for answer in each.answers
}
# `inspect` tells the reason of these from the line of the log alone: the request does not hold it.
# It tells all others from the request itself; of those in `RULED`, from the request there.
BY_LINE = {
    # Cognito's answer to a refresh.
    *(("malformed_token", 503), ("wrong_issuer", 503), ("token_expired", 503)),
    *(("session_revoked", 401), ("token_mismatch", 401), ("refresh_token_reused", 401)),
    *(("user_not_found", 401), ("user_not_confirmed", 401), ("password_reset_required", 401)),
    *(("client_not_found", 401), ("trigger_refused", 401), ("token_too_large", 503)),
    *(("throttled", 503), ("cognito_unavailable", 503), ("cognito_misconfigured", 503)),
    *(("firewall_blocked", 503), ("trigger_failed", 503), ("cognito_error", 503)),
    # Its answer to the code of a sign-in, and what the app makes of that.
    *(("sign_in_too_old", 403), ("sign_in_too_weak", 403), ("sign_in_denied", 403)),
    *(("sign_in_error", 500), ("code_rejected", 400), ("provider_misconfigured", 502)),
    *(("token_refused", 502), ("provider_unavailable", 503), ("session_too_large", 500)),
    # A function that the app calls.
    *(("missing_token", 401), ("not_refreshable", 401), ("missing_scope", 401)),
    *(("user_not_confirmed", 403), ("password_reset_required", 403)),
    *(("cognito_misconfigured", 500), ("cognito_error", 500)),
}
CASES = [
    pytest.param(*key, play, key not in untold, id=f"{key[0]}-{key[1]}{way}")
    for way, plays, untold in (("", SCENARIOS, BY_LINE | set(RULED)), ("-ruled", RULED, set()))
    for key, play in plays.items()
]


@pytest.fixture
def stage(
    shell: Shell,
    pool: LocalUserPool,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    made = Stage(shell, pool, clock, tmp_path, monkeypatch)
    yield made
    made.close()


# The table.


def test_each_reason_and_each_code_is_explained_and_nothing_else() -> None:
    assert set(EXPLANATIONS) == {*get_args(Reason), *CODES, "foreign_origin"}
    assert all(code == each.code for code, each in EXPLANATIONS.items())


def test_a_code_of_a_failed_sign_in_has_its_status() -> None:
    for code in Code:
        assert code.status in EXPLANATIONS[str(code)].statuses


def test_each_is_a_few_whole_sentences() -> None:
    for each in EXPLANATIONS.values():
        for text in (each.meaning, each.cause, each.mend):
            assert text == "" or (text[0].isupper() or text[0] == "`"), each.code
            assert text == "" or text.endswith("."), each.code
            assert text.count("`") % 2 == 0, each.code
        assert each.meaning, each.code
        assert each.mend, each.code
        assert len(each.short_meaning) <= 170, each.code
        assert len(each.short_mend) <= 120, each.code


def test_what_is_not_known_now_clears_no_cookie() -> None:
    for each in EXPLANATIONS.values():
        cookies = {answer.cookie for answer in each.answers if answer.status == 503}
        assert cookies <= {"kept"}, each.code


def test_a_word_that_is_no_reason_has_no_explanation() -> None:
    assert explain("wrong_client") is EXPLANATIONS["wrong_client"]
    assert explain("of_tomorrow") is None


# The requests.


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    """The metrics of all requests, which are read by difference."""
    made = Recording()
    yield made
    made.close()


def test_each_answer_has_its_scenario() -> None:
    assert set(SCENARIOS) == set(ANSWERS)
    assert set(ANSWERS) >= BY_LINE | set(RULED)
    assert not BY_LINE & set(RULED)


@pytest.mark.parametrize(("code", "status", "play", "is_told"), CASES)
def test_event_log_metric_audit_and_inspect_have_one_word_for_a_request(
    stage: Stage,
    recording: Recording,
    caplog: pytest.LogCaptureFixture,
    code: str,
    status: int,
    play: Scenario,
    is_told: bool,
) -> None:
    caplog.set_level(logging.DEBUG, logger="amplify_mw")
    audit, telemetry = StringIO(), OpenTelemetry(meter_provider=recording.meters)
    stage.options |= {"telemetry": telemetry, "on_event": [AuditLog(audit)]}
    before = counted(recording)
    scene, answer = play(stage), ANSWERS[code, status]
    assert Answer(scene.status, scene.cookie) == answer
    is_sign_in = code in CODES and (code, status) != ("duplicate_cookie", 401)
    assert scene.told(SignInFailed if is_sign_in else Refused) == [(code, status)]
    outcome = "sign_in_failed" if is_sign_in else "refused"
    measured = of_reason(code, counted(recording) - before)
    assert measured[outcome, code, status] == 1
    assert of_reason(code, audited(audit)) == measured
    found = inspect_credential(scene.pasted, scene.site.engine)
    assert (found.reason == code) == is_told
    assert not is_told or (found.status, found.cookie) == answer
    assert inspected_line(code, caplog) == (code, *answer)


Outcomes = Counter[tuple[str, str, int]]


def of_reason(code: str, outcomes: Outcomes) -> Outcomes:
    """Those of one reason."""
    return Counter({outcome: count for outcome, count in outcomes.items() if outcome[1] == code})


def counted(recording: Recording) -> Outcomes:
    """The counts of the metric by outcome, reason and status."""
    names = ("amplify_mw.outcome", "amplify_mw.reason", "http.response.status_code")
    found: Outcomes = Counter()
    for attributes, count in recording.points("amplify_mw.outcomes"):
        outcome, reason, status = map(attributes.get, names)
        found[str(outcome), str(reason), status or 0] += count
    return found


def audited(audit: StringIO) -> Outcomes:
    """The same by the lines of an audit."""
    events = [json.loads(line) for line in audit.getvalue().splitlines()]
    return Counter(
        (line["event"]["action"], line["event"]["reason"], line["http"]["response"]["status_code"])
        for line in events
        if "reason" in line["event"]
    )


def inspected_line(code: str, caplog: pytest.LogCaptureFixture) -> tuple[str, int | None, str]:
    """The reason, the status and the cookie that `inspect` gives for the last line of a reason."""
    lines = [record for record in caplog.records if getattr(record, "reason", "") == code]
    line = logging.Formatter(logging.BASIC_FORMAT).format(lines[-1])
    found = inspect_credential(line.encode())
    return found.reason, found.status, found.cookie
