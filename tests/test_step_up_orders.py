"""In no order of refreshes, tabs, callbacks and sign-outs an old sign-in passes for a fresh one."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from amplify_mw import AuthError, require_auth
from tests.routes.going import Visitor, auth_routes, pool_of
from tests.shells import ASGIShell, WSGIShell
from tests.sites import Clock, Site, session_of, town

FRESH = 300
LEEWAY = 5
REFUSED = {
    *("not_fresh", "no_session", "session_revoked", "invalid_session", "session_expired"),
    *("token_expired", "refresh_token_reused"),
}


@require_auth(fresh=FRESH)
def paid() -> str:
    return "paid"


def pays() -> str:
    try:
        return paid()
    except AuthError as error:
        return error.reason


class Orders(RuleBasedStateMachine):
    """One browser with tabs of one jar, a thief with an earlier copy, and a pool that may lie."""

    kind = "sealed"
    shell: Any = WSGIShell()

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        self.town = town(self.clock)
        self.pool = self.town.__enter__()
        session = session_of(self.kind, self.clock, Path(self.folder.name))
        self.site = Site(self.shell, self.pool, self.clock, session, routes=auth_routes())
        self.here = Visitor(self.site)
        self.copies: list[Visitor] = []
        self.at_pool: dict[str, str] = {}
        self.open: list[str] = []  # ways back
        self.newest = -1e18  # when somebody entered the password the last time

    def teardown(self) -> None:
        self.site.close()
        self.town.__exit__(None, None, None)
        self.folder.cleanup()

    @rule(seconds=st.sampled_from([1, 60, 200, 299, 306, 1000, 3500, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(asked=st.sampled_from([{}, {"max_age": "300"}, {"prompt": "login"}]))
    def a_tab_goes_to_sign_in(self, asked: dict[str, str]) -> None:
        got = self.here.go(f"/auth/sign-in?{'&'.join(f'{k}={v}' for k, v in asked.items())}")
        url = str(got.one("location"))
        if not url.startswith("http"):  # signed in already
            return
        try:  # without a question, if the pool remembers the browser
            back = pool_of(self.here).authorize(url, None, cookies=self.at_pool)
        except ValueError:
            back = pool_of(self.here).authorize(url, "ada", cookies=self.at_pool)
            self.newest = self.clock()
        self.open.append(back)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_tab_comes_back(self, data: st.DataObject) -> None:
        self.here.come_back(data.draw(st.sampled_from(self.open)))  # perhaps a second time

    @rule(lies=st.booleans())
    def a_refresh(self, lies: bool) -> None:
        claims = {"auth_time": int(self.clock())} if lies else {}
        with self.pool.tamper(claims=claims):
            self.here.does(self.site.refresh)

    @rule()
    def a_copy(self) -> None:
        self.copies = [*self.copies[-2:], self.here.copy()]

    @precondition(lambda self: self.copies)
    @rule(lies=st.booleans())
    def a_copy_refreshes(self, lies: bool) -> None:
        claims = {"auth_time": int(self.clock())} if lies else {}
        with self.pool.tamper(claims=claims):
            self.copies[-1].does(self.site.refresh)

    @rule()
    def a_sign_out(self) -> None:
        self.here.does(self.site.end())

    @initialize()
    def a_first_sign_in(self) -> None:
        self.a_tab_goes_to_sign_in({})
        self.here.come_back(self.open[-1])
        assert self.here.ask(pays).body == "paid"

    @invariant()
    def only_a_fresh_sign_in_pays(self) -> None:
        for who in (self.here, *self.copies):
            said = who.ask(pays).body
            if said == "paid":
                assert self.clock() - self.newest < FRESH + LEEWAY
            else:
                assert said in REFUSED


@pytest.mark.parametrize(("kind", "shell"), [("sealed", WSGIShell()), ("memory", ASGIShell())])
def test_an_old_sign_in_never_passes(kind: str, shell: Any) -> None:
    machine = type("Orders", (Orders,), {"kind": kind, "shell": shell})
    rounds = settings(
        max_examples=20,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=rounds)
