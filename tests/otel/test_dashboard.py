"""The Grafana dashboard and the alerts, run against what an app serves to Prometheus.

A real app is scraped over HTTP. If Prometheus itself is at hand, it scrapes it too, and answers
each query of the dashboard and the alerts.
"""

import json
import math
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import urlencode

import pytest
import yaml
from flask import Flask
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

from amplify_mw import (
    StoredSession,
    end_session,
    fetch_auth_session,
    fetch_user_attributes,
    get_current_user,
    start_session,
)
from amplify_mw.errors import AuthError, Reason
from amplify_mw.otel import OpenTelemetry
from amplify_mw.routes.failures import Code
from amplify_mw.stores import SQLiteStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE, until
from tests.valkey import free_port
from tests.valkey.endings import end_with_this_process, has_ended

FOLDER = Path(__file__).parent.parent.parent / "docs" / "dashboards"
DASHBOARD = json.loads((FOLDER / "amplify-mw.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PAGE = (FOLDER.parent / "signed-out.md").read_text()
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in PANELS
    for target in panel["targets"]
}
QUERIES["signed-out.md"] = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
RULES = {rule["alert"]: rule["expr"] for rule in ALERTS}
VARIABLES = {"$job": ".*", "$__rate_interval": "1m", "$__range": "5m"}
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")


class Scrapes:
    """Knows when somebody asks for the metrics."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def collect(self) -> list[Any]:
        """No metrics of its own."""
        self.begun.set()
        return []


class Visited(NamedTuple):
    """A site, what it serves to Prometheus, and a visit to it that makes each outcome."""

    url: str
    scrapes: Scrapes
    client: Client
    lost: Client
    lost_token: str

    def visit(self) -> None:
        """Sign in, ask for everything there is, sign out; and come with what does not count."""
        for path in ("/in", "/who", "/in/nonsense", "/out"):
            self.client.get(path)
        for client in (self.client, self.lost):
            client.set_cookie("amplify-session", "eyJhbGciOiJSUzI1NiJ9.e30.bm9uZQ")
            client.get("/who")
            client.delete_cookie("amplify-session")
        self.lost.set_cookie("amplify-session", self.lost_token)
        self.lost.get("/who")


def site_of(pool: LocalUserPool, **options: Any) -> Client:
    """An app in Flask."""
    app = Flask("site")

    @app.get("/in")
    def sign_in() -> str:
        return start_session(pool.sign_in("ada")).username

    @app.get("/in/nonsense")
    def sign_in_with_nonsense() -> str:
        return start_session({"id_token": "a", "access_token": "b"}).username

    @app.get("/who")
    def who() -> str:
        user = get_current_user().username
        fetch_auth_session(force_refresh=True)
        return f"{user} {fetch_user_attributes()}"

    @app.get("/out")
    def sign_out() -> str:
        end_session()
        return "nobody"

    app.register_error_handler(AuthError, lambda error: (error.reason, error.status_code))
    return Client(AmplifyWSGIMiddleware(app.wsgi_app, pool.config(**options)))


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    """A site whose pool is there, and one whose pool is not, in one process."""
    reader, scrapes = PrometheusMetricReader(), Scrapes()
    REGISTRY.register(scrapes)
    provider = MeterProvider(metric_readers=[reader])
    server, thread = start_http_server(0, "127.0.0.1")
    telemetry = OpenTelemetry(meter_provider=provider, count_users=True)
    store = SQLiteStore(tmp_path_factory.mktemp("site") / "sessions.db")
    with LocalUserPool(user_pool_id="eu-west-1_Gone00001") as gone:
        gone.add_user("ada")
        lost = site_of(gone, telemetry=telemetry)
        lost_token = gone.mint("ada")
    with LocalUserPool() as pool:
        pool.add_user("ada")
        client = site_of(pool, telemetry=telemetry, session=StoredSession(store))
        found = Visited(
            f"http://127.0.0.1:{server.server_port}/metrics", scrapes, client, lost, lost_token
        )
        found.visit()
        yield found
        client.application.engine.close()  # type: ignore[union-attr]
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE)
    provider.shutdown()
    REGISTRY.unregister(scrapes)
    store.close()


@pytest.fixture(scope="module")
def served(visited: Visited) -> dict[str, set[tuple[str, str]]]:
    """The labels with their values, by metric: all that the site serves over HTTP."""
    found: dict[str, set[tuple[str, str]]] = {}

    def has_all() -> bool:
        with urllib.request.urlopen(visited.url) as response:
            text = response.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels.items())
        return ("amplify_mw_outcome", "revoked") in found["amplify_mw_outcomes_total"]

    until(has_all)
    return found


class Read(NamedTuple):
    """The names in a query. `compared`: the labels with the texts they are compared with."""

    metrics: set[str]
    labels: set[str]
    compared: list[tuple[str, str, str]]


def read(query: str) -> Read:
    """Take a query apart, as far as the dashboard's go."""
    compared = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', query)
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", query)
    rest = re.sub(r"\{[^}]*\}|\bby\s*\([^)]*\)", "", query)
    listed = {name.strip() for names in grouped for name in names.split(",")}
    metrics = set(re.findall(r"\b(amplify_mw_\w+)", rest))
    return Read(metrics, listed | {name for name, _, _ in compared}, compared)


@pytest.mark.parametrize("query", [*QUERIES.values(), *RULES.values()], ids=[*QUERIES, *RULES])
def test_a_query_names_only_what_is_served(
    served: dict[str, set[tuple[str, str]]], query: str
) -> None:
    names = read(query)
    assert names.metrics
    assert names.metrics <= served.keys()
    labels = {name for metric in names.metrics for name, _ in served[metric]}
    assert names.labels <= labels | {"job"}


@pytest.mark.parametrize("query", [*QUERIES.values(), *RULES.values()], ids=[*QUERIES, *RULES])
def test_a_query_compares_with_values_that_there_are(
    served: dict[str, set[tuple[str, str]]], query: str
) -> None:
    known: dict[str, set[str]] = {"amplify_mw_reason": {*get_args(Reason), *map(str, Code)}}
    for pairs in served.values():
        for name, value in pairs:
            known.setdefault(name, set()).add(value)
    known["amplify_mw_outcome"].add("revocation_failed")
    for name, _, text in read(query).compared:
        for value in text.split("|"):
            assert value in known.get(name, ()) or value in ("$job", ""), (name, value)


@pytest.mark.parametrize("title", ["Refusals by reason", "Not checked, session kept, by reason"])
def test_each_refusal_is_on_one_of_two_panels(
    served: dict[str, set[tuple[str, str]]], title: str
) -> None:
    assert ("http_response_status_code", "503") in served["amplify_mw_outcomes_total"]
    assert ("http_response_status_code", "401") in served["amplify_mw_outcomes_total"]
    operator = "!=" if title.startswith("Refusals") else "="
    assert f'http_response_status_code{operator}"503"' in QUERIES[f"{title} A"]


# The dashboard as Grafana opens it.


def test_the_panels_have_ids_places_and_sources_of_their_own() -> None:
    assert DASHBOARD["title"]
    assert DASHBOARD["uid"] == "amplify-mw"
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["id"] is None  # Grafana gives it one
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["type"] in {"timeseries", "stat", "state-timeline"}
        assert panel["title"]
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_variables_of_the_queries_are_there() -> None:
    own = {each["name"] for each in DASHBOARD["templating"]["list"]}
    assert own == {"datasource", "job"}
    used = {name for query in QUERIES.values() for name in re.findall(r"\$\w+", query)}
    assert used <= {"$job", "$__rate_interval", "$__range"}


def test_legends_name_labels_of_their_queries() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= read(target["expr"]).labels


def test_the_alerts_name_labels_of_their_queries() -> None:
    for rule in ALERTS:
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert named <= read(rule["expr"]).labels, rule["alert"]


# Prometheus itself.


class Prometheus:
    """A Prometheus that scrapes a site, with the alerts."""

    def __init__(self, folder: Path, target: str) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/api/v1"
        scraped = {"job_name": "site", "static_configs": [{"targets": [target]}]}
        (folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"}
                    | {"evaluation_interval": "250ms"},
                    "rule_files": [str(FOLDER / "alerts.yaml")],
                    "scrape_configs": [scraped],
                }
            )
        )
        arguments = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": f"127.0.0.1:{port}",
            "log.level": "error",
        }
        assert PROMETHEUS is not None
        command = [PROMETHEUS, *(f"--{name}={value}" for name, value in arguments.items())]
        self._process = subprocess.Popen(command, cwd=folder)
        end_with_this_process(self._process.pid)

    def ask(self, path: str, **parameters: str) -> Any:
        """The answer of its API."""
        with urllib.request.urlopen(f"{self._url}/{path}?{urlencode(parameters)}") as response:
            return json.load(response)["data"]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        has_ended(self._process.pid)


@pytest.fixture(scope="module")
def prometheus(visited: Visited, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if PROMETHEUS is None:
        pytest.skip("there is no prometheus here")
    target = visited.url.removeprefix("http://").removesuffix("/metrics")
    visited.scrapes.begun.clear()
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), target)
    try:
        assert visited.scrapes.begun.wait(PATIENCE)  # it takes five seconds to begin
        yield server
    finally:
        server.close()


def with_values(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def test_prometheus_has_an_answer_for_each_panel(visited: Visited, prometheus: Prometheus) -> None:
    unanswered = dict(QUERIES)

    def is_answered() -> bool:
        visited.visit()
        for name, query in list(unanswered.items()):
            found = prometheus.ask("query", query=with_values(query))
            values = [float(each["value"][1]) for each in found["result"]]
            if values and not all(map(math.isnan, values)):
                del unanswered[name]
        return not unanswered

    until(is_answered)


def test_prometheus_takes_the_alerts_and_raises_those_of_an_outage(
    prometheus: Prometheus,
) -> None:
    def states() -> dict[str, tuple[str, str]]:
        [group] = prometheus.ask("rules")["groups"]
        return {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]}

    until(lambda: all(health == "ok" for health, _ in states().values()))
    assert states().keys() == RULES.keys()
    raised = ("pending", "firing")  # it has to last
    until(lambda: states()["AmplifyOutage"][1] in raised)


# What the alerts say of a site's counts. `LIVES` has a value each minute. (`_`: there is none.)

COUNT = 'amplify_mw_outcomes_total{{instance="{}", amplify_mw_outcome="{}"{}}}'
REASON = ', amplify_mw_reason="{}"'


def counts(outcome: str, values: str, reason: str = "", instance: str = "1") -> dict[str, str]:
    named = REASON.format(reason) if reason else ""
    return {"series": COUNT.format(instance, outcome, named), "values": values}


LIVES: dict[str, tuple[str, list[dict[str, str]], str, bool]] = {
    "the first of a reason": (
        *("AmplifyMisconfigured", [counts("refused", "_x20 1+0x20", "wrong_client")], "25m"),
        True,
    ),
    "it is over": (
        *("AmplifyMisconfigured", [counts("refused", "_x20 1+0x40", "wrong_client")], "45m"),
        False,
    ),
    "the first after a restart, beside an old process that had many and has ended": (
        "AmplifyMisconfigured",
        [
            counts("refused", "900+0x20 stale", "wrong_client", "old"),
            counts("refused", "_x22 1+0x20", "wrong_client", "new"),
        ],
        *("25m", True),
    ),
    "a scrape was missed ten minutes ago": (
        "AmplifyMisconfigured",
        [counts("refused", "900+0x14 stale 900+0x20", "wrong_client")],
        *("25m", False),
    ),
    "another reason": (
        *("AmplifyMisconfigured", [counts("refused", "_x20 1+1x20", "no_session")], "25m"),
        False,
    ),
    "half of the sign-ins fail": (
        "AmplifySignInsFail",
        [counts("signed_in", "0+1x60"), counts("sign_in_failed", "0+1x60", "token_refused")],
        *("40m", True),
    ),
    "so they do, under a flood of visits that anybody can make": (
        "AmplifySignInsFail",
        [
            counts("signed_in", "0+1x60"),
            counts("sign_in_failed", "0+1x60", "token_refused"),
            counts("sign_in_failed", "0+900x60", "attempt_expired"),
        ],
        *("40m", True),
    ),
    "the flood alone": (
        "AmplifySignInsFail",
        [counts("signed_in", "0+1x60"), counts("sign_in_failed", "0+900x60", "attempt_expired")],
        *("40m", False),
    ),
    "two in a night": (
        "AmplifySignInsFail",
        [counts("sign_in_failed", "0+0x20 1+0x6 2+0x60", "token_refused")],
        *("33m", False),
    ),
    "the first that could not be revoked": (
        "AmplifyRevocationsFail",
        [counts("revocation_failed", "_x20 1+0x60", "cognito_unavailable")],
        *("50m", True),
    ),
}
LONG_LIVES: dict[str, tuple[str, list[dict[str, str]], str, bool]] = {  # a value each 20 minutes
    "nobody has signed in since the restart this morning": (
        "AmplifyNobodySignsIn",
        [
            counts("signed_in", "0+20x70 stale", instance="old"),
            {"series": 'amplify_mw_outage{instance="new"}', "values": "_x70 0+0x10"},
        ],
        *("1500m", True),
    ),
    "people sign in": (
        "AmplifyNobodySignsIn",
        [
            counts("signed_in", "0+20x80"),
            {"series": 'amplify_mw_outage{instance="1"}', "values": "0+0x80"},
        ],
        *("1500m", False),
    ),
}


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here")
def test_an_alert_is_raised_when_its_page_says(tmp_path: Path) -> None:
    """Each life is a job of its own: promtool takes a third of a second for each test."""
    files = []
    for minutes, lives in ((1, LIVES), (20, LONG_LIVES)):
        test: dict[str, Any] = {"interval": f"{minutes}m", "input_series": []}
        asked = test["promql_expr_test"] = []
        for job, (alert, series, at, is_raised) in lives.items():
            for each in series:
                named = each["series"].replace("{", f'{{job="{job}", ')
                test["input_series"].append({**each, "series": named})
            query = f'count(ALERTS{{alertname="{alert}", alertstate="firing", job="{job}"}})'
            expected = [{"labels": "{}", "value": 1}] if is_raised else []
            asked.append({"expr": query, "eval_time": at, "exp_samples": expected})
        every = {"evaluation_interval": f"{minutes}m", "rule_files": [str(FOLDER / "alerts.yaml")]}
        files.append(tmp_path / f"{minutes}.yaml")
        files[-1].write_text(json.dumps({**every, "tests": [test]}))
    command = [str(PROMTOOL), "test", "rules", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here")
def test_promtool_finds_no_fault_with_the_alerts() -> None:
    assert PROMTOOL is not None
    subprocess.run([PROMTOOL, "check", "rules", FOLDER / "alerts.yaml"], check=True)
