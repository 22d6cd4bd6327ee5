"""Keys of sealed sessions are changed while some processes of a site have been deployed anew."""

from dataclasses import replace

from tests.processes.cluster import Cluster, Member
from tests.processes.conftest import Cognito, Places
from tests.processes.sites import KEY, Spec

OLD, NEW = KEY, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
TOKENS = "X-Tokens"
signed_in, kept = (200, None), (401, None)


def deployed(member: Member, spec: Spec, keys: list[str], shell: str) -> Member:
    """A process that serves the site with other keys from now on."""
    member.do("close")
    return Member(member.worker, replace(spec, keys=keys), shell)


def entered(member: Member, cognito: Cognito) -> str:
    """The cookie of a session that has begun in that process."""
    tokens = cognito.tokens()
    told = f'{{"id_token": "{tokens.id_token}", "access_token": "{tokens.access_token}"}}'
    cookie = member.ask(None, "/in", **{TOKENS: told}).new_cookie
    assert cookie
    return cookie


def test_old_new_then_new_old_then_new_loses_nobody(
    cluster: Cluster, places: Places, cognito: Cognito
) -> None:
    spec = places.site(cognito, "sealed", "none", keys=[OLD])
    shells = ["wsgi", "asgi"]
    members = cluster.members(spec, *shells)
    cookies = [entered(member, cognito) for member in members]
    for keys in ([OLD, NEW], [NEW, OLD]):
        for number, shell in enumerate(shells):
            members[number] = deployed(members[number], spec, keys, shell)
            cookies += [entered(member, cognito) for member in members]
            for cookie in cookies:  # of each key, at each process
                assert [member.ask(cookie).outcome for member in members] == [signed_in] * 2
    last = cookies[-2:]
    for number, shell in enumerate(shells):
        members[number] = deployed(members[number], spec, [NEW], shell)
        for cookie in (*last, entered(members[number], cognito)):
            assert [member.ask(cookie).outcome for member in members] == [signed_in] * 2
    assert {member.ask(cookies[0]).outcome for member in members} == {kept}


def test_in_the_wrong_order_a_process_without_the_key_keeps_the_session_for_the_others(
    cluster: Cluster, places: Places, cognito: Cognito
) -> None:
    spec = places.site(cognito, "sealed", "none", keys=[OLD])
    first, second = cluster.members(spec, "wsgi", "asgi")
    first = deployed(first, spec, [NEW, OLD], "wsgi")
    cookie = entered(first, cognito)
    for _ in range(2):
        assert second.ask(cookie).outcome == kept
        assert first.ask(cookie).outcome == signed_in
    second = deployed(second, spec, [NEW, OLD], "asgi")
    assert second.ask(cookie).outcome == signed_in
