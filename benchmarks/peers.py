"""What would another library cost? In the same app, and from what a request carries to the user.

In an app: each library is put around, or into, the one route of its own framework, which asks for
the user and answers `ok`; its overhead is what that takes over the same framework's bare app, and
is shown as a multiple of ours around that framework's app. (Ours around an app without a framework
is shown beside it.) From header to user: the narrowest call that each has, in multiples of ours,
which gets the whole `Cookie` header. Both in one process, by turns.

`first seen`: another user's token (or cookie) each time. We have forgotten it before its turn comes
again; the others remember none, so that theirs differ from their known ones by the data alone.

ASGI apps are stepped by hand, but those of FastAPI are not: fastapi-cognito needs a running event
loop. There each call is a task's `PER_TASK` requests in a loop that is kept, for the bare app and
ours just so, and the tables show one of them.

What each library is and how it is set up is said in `benchmarks/others/`.
"""

from collections.abc import Iterator, Sequence

from .harness import FULL, TINY, Plan, Row, in_processes, table
from .others import FIRST, frameworks, ours
from .others.cases import LOOP, OTHERS, PER_TASK, WSGI, Case
from .report import Limit, Table, at_least, installed, versions

AIMED = ("flask-cognito-lib", "fastapi-cognito", "Clerk", "Auth0", "Powertools", "Scalekit")
NOTES = {
    "Starlette": (
        "PyJWT has its keys preloaded. starsessions: a lifetime of 14 days, not rolling; it saves "
        "at each response. (Amplify's own adapter, in Node, is beside ours in the tables of "
        "Amplify's cookies.)"
    ),
    "FastAPI": (
        f"All in one event loop, {PER_TASK} requests a task. Clerk has its key as PEM, the others "
        "theirs preloaded or in their caches; auth0-server-python and Scalekit read an encrypted "
        "cookie, whose tokens they do not verify again."
    ),
    "Flask": (
        "flask-cognito-lib is made to keep its token service and its keys: by itself it would "
        "fetch them at each request. Clerk has its key as PEM, Powertools its key set. Scalekit "
        "reads an encrypted cookie, whose tokens it does not verify again."
    ),
    "Django": "No database: users come from a dictionary. `cache` is LocMemCache.",
}


def _one_of(run: dict[str, float]) -> dict[Case, float]:
    """The times of one request, where a call was a task's."""
    cases = {Case.parse(text): time for text, time in run.items()}
    return {case: time / case.calls for case, time in cases.items()}


def _tables(framework: str, runs: Sequence[dict[Case, float]]) -> Iterator[Table]:
    shell = "WSGI" if framework in WSGI else "ASGI"
    missing = sorted({each for each in OTHERS[framework].values() if installed(each) is None})
    packages = dict.fromkeys([framework.lower(), *OTHERS[framework].values()])
    notes = [f"{versions(packages)}. {NOTES[framework]}"]
    if missing:
        notes.append(f"Left out, for they are not installed: {', '.join(missing)}.")
    for what, title in (("app", "in an app"), ("read", "from header to user")):
        cases = [case for case in runs[0] if case.what == what]
        labelled = [{case.label: run[case] for case in cases} for run in runs]
        yield table(
            f"Beside others, {title}: {framework} ({shell})",
            [_row(case, framework) for case in cases],
            labelled,
            unit="library",
            notes=notes,
        )


def _row(case: Case, framework: str) -> Row:
    bare = case.bare or None
    if case.name == ours.NAME or case.name in (frameworks.BARE, framework, LOOP):
        return Row(case.label, bare)
    mine = case._replace(name=ours.NAME, bare=case.bare if case.what == "app" else "")
    unit = Row(mine.label, mine.bare or None)
    limit = _limit(case)
    where = "as overhead in an app" if case.what == "app" else "from header to user"
    around = case.bare if case.what == "app" else framework
    aim = f"{case.name} ({around}), {case.kind}, {where}: times ours"
    return Row(case.label, bare, unit, limit, aim)


def _limit(case: Case) -> Limit | None:
    if case.name == "SessionMiddleware" and case.what == "app":
        return at_least(5)
    if not case.name.startswith(AIMED):
        return None
    if case.kind == FIRST:
        return at_least(2)
    return at_least(15 if case.what == "app" else 40)


def tables(plan: Plan = FULL) -> Iterator[Table]:
    number = 20 if plan == TINY else 200
    for framework in OTHERS:
        if installed(framework) is None:
            why = f"Left out: {framework} is not installed."
            yield Table(f"Beside others: {framework}", ("",), [], notes=[why])
            continue
        runs = in_processes("benchmarks.others.cases:cases", plan, framework, str(number))
        yield from _tables(framework, [_one_of(run) for run in runs])


if __name__ == "__main__":
    print(*tables(), sep="\n")
