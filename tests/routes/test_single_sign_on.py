"""The pool's single sign-on session: a sign-out ends it, and nothing else does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from amplify_mw.testing.pool.server import Exchange
from tests.routes.going import Visitor
from tests.sites import LASTING, Build, Site

LINKED = "LINKED"
OUT = "/auth/sign-out"


@dataclass(frozen=True)
class Listening:
    """Notes what each revocation asks for, and lets it through."""

    heard: list[Any] = field(default_factory=list)

    def meet(self, exchange: Exchange, /) -> Any:
        members = json.loads(exchange.request.get_data())
        self.heard.append(members.get("RevokeAssociatedSessions"))
        return exchange.answer()


@pytest.fixture(params=[*LASTING, "amplify"])
def site(build: Build, request: pytest.FixtureRequest) -> Site:
    return build(request.param)


@pytest.fixture
def asked(site: Site) -> Iterator[list[Any]]:
    """What Cognito is asked beside the revocation, each time."""
    listening = Listening()
    with site.pool.fault("RevokeToken", listening):
        yield listening.heard


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_sign_out_by_the_app_ends_it(site: Site, asked: list[Any], everywhere: bool) -> None:
    site.sign_in().does(site.end(everywhere=everywhere))
    site.settle()
    assert asked == [LINKED]


def test_a_sign_out_at_the_route_ends_it(site: Site, asked: list[Any]) -> None:
    visitor = Visitor(site)
    visitor.sign_in()
    visitor.go(OUT, method="POST")
    site.settle()
    assert asked == [LINKED]


def test_a_sign_in_that_replaces_another_does_not(site: Site, asked: list[Any]) -> None:
    """The new one may have come through the same session."""
    browser = site.sign_in("grace")
    browser.does(site.start(site.pool.sign_in("ada")))
    visitor = Visitor(site)
    visitor.sign_in()
    visitor.sign_in("grace", prompt="login")
    site.settle()
    assert asked == [None, None]


def test_a_sign_in_that_is_refused_does_not(build: Build) -> None:
    def refuse(_: object) -> None:
        raise PermissionError

    site, listening = build(routes={"on_sign_in": refuse}), Listening()
    with site.pool.fault("RevokeToken", listening):
        assert Visitor(site).sign_in().status == 403
        site.settle()
    assert listening.heard == [None]


def test_the_domains_revocation_endpoint_has_no_such_member(build: Build) -> None:
    site = build("memory", refresh_api="oauth")
    site.sign_in().does(site.end())
    site.settle()
    assert site.pool.requests == ["revoke"]
