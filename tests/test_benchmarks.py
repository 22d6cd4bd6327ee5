"""Each benchmark runs and prints its table. How long anything takes is nobody's business here."""

import pytest

import benchmarks.__main__ as command
from benchmarks import (
    amplify_cookies,
    first_seen,
    imports,
    many,
    memory,
    overhead,
    routes,
    sealed,
    stored,
)
from benchmarks.harness import TINY, Row, Spread, calibrated, interleaved, table


@pytest.mark.parametrize(
    ("benchmark", "lines"),
    [
        (overhead, ["pays: WSGI", "pays: ASGI", "no cookie: amplify_mw", "known token: floor"]),
        (routes, ["requests: WSGI", "requests: ASGI", "no cookie: routes", "known token: routes"]),
        (first_seen, ["raw RSA-2048 verify", "WSGI: first seen", "ASGI: bad signature"]),
        (sealed, ["known sealed", "ASGI: first seen sealed", "decrypt_compact, JSON, decode"]),
        (stored, ["bare SELECT", "SQLiteStore.ask, inline", "known session, SQLiteStore", "Redis"]),
        (
            amplify_cookies,
            ["first sight", "ASGI: Amplify's, 100 kB header", "beside a sealed session"],
        ),
        (many, ["load among 100", "on disk each", "Valkey", "A session in MemoryStore"]),
        (imports, ["bare interpreter", "import amplify_mw.wsgi", "construct (keys preloaded)"]),
        (memory, ["Cached verdicts of 20 users", "Cached attributes of 20 users", "10 entries"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_benchmark_prints_its_table(benchmark: object, lines: list[str]) -> None:
    printed = benchmark.tables(TINY)  # type: ignore[attr-defined]
    assert [line for line in lines if line not in printed] == []


def test_the_command_prints_the_versions_and_every_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.report(TINY)
    printed = capsys.readouterr().out
    titles = ["cryptography ", "pays: WSGI", "first-seen", "importing costs", "Cached verdicts"]
    places = [printed.find(title) for title in titles]
    assert -1 not in places
    assert places == sorted(places)


def test_importing_the_wsgi_shell_loads_nothing_heavy() -> None:
    bare = imports.modules("pass")
    loaded = set(imports.heavy_modules("import amplify_mw.wsgi", bare))
    assert not loaded & {"asyncio", "authlib", "cryptography", "httpx2", "joserfc", "werkzeug"}


def test_a_ratio_is_that_of_overheads_within_one_process() -> None:
    floor = Row("floor", "bare")
    runs = [{"bare": 1.0, "floor": 2.0, "ours": 3.0}, {"bare": 2.0, "floor": 4.0, "ours": 6.0}]
    printed = table("A title", [floor, Row("ours", "bare", floor)], runs)
    assert printed.splitlines()[-1].split() == [
        *("ours", "4.50", "[3.00-6.00]", "3.00", "[2.00-4.00]", "2.00", "[2.00-2.00]")
    ]


def test_a_bar_stands_at_the_end_of_its_line() -> None:
    unit = Row("unit")
    rows = [unit, Row("ours", unit=unit, bar=1.5)]
    head, *lines = table("A title", rows, [{"unit": 2.0, "ours": 1.0}]).splitlines()[2:]
    assert head.split()[-2:] == ["at", "most"]
    assert [line.split()[-1] for line in lines] == ["[2.00-2.00]", "1.5"]


def test_cases_are_called_by_turns() -> None:
    called: list[str] = []
    cases = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    interleaved(cases, rounds=2, batch=0.0)
    assert "".join(called).endswith("abab")


def test_a_batch_is_at_least_one_call() -> None:
    assert calibrated(lambda: None, 0.0) == 1


def test_a_spread_is_a_median_between_its_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text(1) == "2.0 [1.0-3.0]"
