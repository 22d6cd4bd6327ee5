"""Each question is asked, in seconds. How long anything takes is nobody's business here."""

import re
import socketserver
import threading
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks import imports, load, plots
from benchmarks.harness import TINY, Row, calibrated, interleaved, table
from benchmarks.report import (
    ON_THE_PAGE,
    Aim,
    Spread,
    Table,
    aims,
    at_least,
    at_most,
    grid,
    page,
    write,
)

FOLDER = Path(command.__file__).parent
# Some of what each question's tables say, whatever is installed here.
SAID = {
    "overhead": ["pays: WSGI", "pays: ASGI", "no cookie: amplify_mw", "known token: floor"],
    "bearer": ["token costs: WSGI", "token costs: ASGI", "known Bearer token, app asks"],
    "routes": ["requests: WSGI", "requests: ASGI", "no cookie: routes", "known token: routes"],
    "telemetry": ["OpenTelemetry cost: WSGI", "known token: a listener", "refused token: again"],
    "first_seen": ["one: WSGI", "one: ASGI", "raw RSA-2048 verify", "refused token: expired"],
    "sealed": ["known sealed", "ASGI: first seen sealed", "decrypt_compact, JSON, decode"],
    "stored": ["bare SELECT", "SQLiteStore.ask, inline", "known session, SQLiteStore", "Redis"],
    "machines": ["64 at once: known session", "3 primaries: known", "8 threads: known session"],
    "amplify_cookies": ["first sight", "ASGI: Amplify's, 100 kB header", "beside a sealed"],
    "refreshing": ["stored session, SQLite", "sealed session", "Amplify's cookies"],
    "verification": [
        "1,208 bytes: raw RSA-2048 verify",
        "joserfc decode",
        "8,000 bytes: amplify_mw",
    ],
    "peers": ["SessionMiddleware", "fastapi-cognito", "Clerk", "Powertools", "Scalekit", "Django"],
    "servers": ["uvicorn", "granian", "gunicorn", "waitress"],
    "flood": ["ASGI: forged signature", "unknown kid, issued just now", "leaves behind"],
    "growth": ["8 kB", "10 seen, known: amplify_mw", "100 seen"],
    "threads": ["10 tasks", "2 threads"],
    "many": ["MemoryStore", "SQLite", "Valkey", "PostgreSQL"],
    "imports": ["bare interpreter", "import amplify_mw.wsgi", "first request"],
    "memory": ["verdict on a sealed session", "a user's attributes", "10 entries"],
}


def test_every_question_has_its_file() -> None:
    assert SAID.keys() == command.QUESTIONS.keys()


@pytest.mark.parametrize("question", SAID)
def test_a_question_is_answered(question: str) -> None:
    found = "\n".join(map(str, import_module(f"benchmarks.{question}").tables(TINY)))
    assert [text for text in SAID[question] if text not in found] == []


def test_the_command_prints_and_writes_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "RESULTS.md"
    assert command.answer(["overhead"], TINY, "# A head\n", results)
    printed, written = capsys.readouterr().out, results.read_text(encoding="utf-8")
    for text in (printed, written):
        assert "# A head" in text
        assert "## What a request pays: ASGI" in text
        assert "## Aims" in text


def test_a_question_that_fails_takes_no_others_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "RESULTS.md"
    assert not command.answer(["no_such_question", "overhead"], TINY, "", results)
    assert "a request pays" in results.read_text(encoding="utf-8")
    assert "no_such_question" in capsys.readouterr().err


def test_a_mistyped_question_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["overheads"])
    assert "overhead" in capsys.readouterr().err


def test_importing_the_wsgi_shell_loads_nothing_heavy() -> None:
    bare = imports.modules("pass")
    loaded = set(imports.heavy_modules("import amplify_mw.wsgi", bare))
    assert not loaded & {"asyncio", "authlib", "cryptography", "httpx2", "joserfc", "werkzeug"}


def test_a_ratio_is_that_of_overheads_within_one_process() -> None:
    floor = Row("floor", "bare")
    runs = [{"bare": 1.0, "floor": 2.0, "ours": 3.0}, {"bare": 2.0, "floor": 4.0, "ours": 6.0}]
    found = table("A title", [floor, Row("ours", "bare", floor, at_most(1.5))], runs)
    assert found.rows[-1] == (
        *("ours", "4.50 [3.00-6.00]", "3.00 [2.00-4.00]", "2.00 [2.00-2.00]", "<= 1.5"),
    )


@pytest.mark.parametrize(
    ("limit", "figure", "is_met"),
    [(at_most(2), 2.0, True), (at_most(2), 2.1, False), (at_least(5), 4.9, False)],
)
def test_an_aim_says_whether_it_was_met(limit, figure: float, is_met: bool) -> None:
    aim = Aim("what", Spread.of([figure]), limit)
    assert aim.is_met is is_met
    said = aims([Table("A title", ("",), [], aims=[aim])])
    assert said.rows[0][-1] == ("yes" if is_met else "no")
    assert said.notes == [f"{int(is_met)} of 1 met."]


def test_a_table_is_markdown_with_columns_as_wide_as_their_cells() -> None:
    assert grid(("", "times"), [("ours", "1.25"), ("theirs",)]).splitlines() == [
        "|        | times |",
        "| ------ | ----: |",
        "| ours   |  1.25 |",
        "| theirs |       |",
    ]


def test_the_page_keeps_the_aims_and_the_tables_of_its_list(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    log = Table("What nobody asks for", ("case", "µs"), [("ours", "1")])
    asked = [Table(f"{title}, and more", ("case", "µs"), [("ours", "1")]) for title in ON_THE_PAGE]
    write(path, "# A head\n", [log, *reversed(asked)])
    titles = [line for line in path.read_text(encoding="utf-8").splitlines() if "# " in line]
    wanted = [f"## {table.title}" for table in asked]
    assert titles == ["# A head", "## Aims", *wanted, "## What a ratio hides"]


def test_the_page_names_the_aims_that_were_missed() -> None:
    met, failed = (
        Aim(what, Spread.of([2.0]), at_most(limit)) for what, limit in (("a", 3), ("b", 1))
    )
    found = page("# A head\n", [Table("A title", ("",), [], aims=[met, failed])])
    assert "1 of 2 met." in found
    assert "| b " in found
    assert "| a " not in found


def test_the_plots_of_the_documentation_are_those_of_the_page() -> None:
    found = {
        path.stem: path.read_text(encoding="utf-8") for path in plots.FOLDER.glob("cost-*.svg")
    }
    assert found == plots.drawn(command.RESULTS.read_text(encoding="utf-8"))


def test_the_command_draws_the_plots_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = plots.draw
    monkeypatch.setattr(plots, "draw", lambda page: draw(page, tmp_path))
    assert command.main(["plots"]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == plots.PLOTS.keys()


def test_plots_are_no_question_among_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["plots", "overhead"])
    assert "write it alone" in capsys.readouterr().err


def test_a_plot_has_its_figures_from_the_tables_medians() -> None:
    cells = [("no cookie: amplify_mw", "1.50 [1.40-1.60]"), ("known token: bare app", "")]
    results = plots.Results(
        page("# A head\n", [Table(ON_THE_PAGE[0], ("", "µs over bare"), cells)])
    )
    assert results.column(ON_THE_PAGE[0], "µs over bare") == {"no cookie: amplify_mw": 1.5}


def test_a_page_without_a_table_gives_no_plot() -> None:
    with pytest.raises(LookupError, match="What a request pays"):
        plots.drawn("# A head\n")


def test_the_bars_of_a_plot_have_one_scale() -> None:
    groups = [
        plots.Group("ours & theirs", [plots.Bar("a", 1, True), plots.Bar("b<", 4, False)]),
        plots.Group("others", [plots.Bar("c", 2, False)]),
    ]
    text = plots.svg(groups)
    lengths = [float(found) for found in re.findall(r' width="(.+?)"', text)]
    assert lengths[1] == 4 * lengths[0] == 2 * lengths[2]
    assert "ours &amp; theirs" in text
    assert "b&lt;" in text


def test_every_table_of_the_page_is_some_question_s() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    said = sources.replace("{shell}", "WSGI").replace("{kind.name}", "uvicorn")
    for title in ON_THE_PAGE:
        assert title.partition(":")[0].split(",")[0] in said, title


class Answering(socketserver.StreamRequestHandler):
    """As little of a server as a load generator can do with."""

    def handle(self) -> None:
        for line in self.rfile:
            if line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_a_window_goes_on_until_the_servers_clock_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([1.0, 1.0, 1.0, 1.5])
    monkeypatch.setattr(load, "cpu_seconds", lambda pids: next(clock))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        port = server.server_address[1]
        found = load.measured(port, "GET / HTTP/1.1\r\n\r\n", 2, 0.0, [])
        server.shutdown()
        thread.join()
    assert found["cpu"] == 0.5
    assert found["requests"] >= 3 * 2  # each of two connections was asked in each part


def test_cases_are_called_by_turns() -> None:
    called: list[str] = []
    cases = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    interleaved(cases, rounds=2, batch=0.0)
    assert "".join(called).endswith("abab")


def test_a_batch_is_at_least_one_call() -> None:
    assert calibrated(lambda: None, 0.0) == 1


def test_a_spread_is_a_median_between_its_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text(1) == "2.0 [1.0-3.0]"
