"""Checks of the way to the pool: each address of its API, the proxy, and this machine's clock.

Rules:
- An address is asked by GetUser, with a made-up access token: refused by Cognito means reached.
- The clock is compared with the `Date` of an earlier answer, best of the API's own: an answer to
  a POST is not from a cache.
"""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from ...cognito.api import THROTTLING, UNAVAILABLE, Failure, get_user, read_get_user
from ...models.check import Check
from .subject import LATER, Answer, Subject

MADE_UP: Final = b"amplify-mw-doctor.made-up.token"
_WAY: Final = (
    "check user_pool_id (its Region), endpoint_url and regions, and that this machine may connect "
    "there (firewall, security group, VPC endpoint, proxy)"
)
_NOT_COGNITO: Final = (
    "look at what answers at this address: a captive portal, a proxy, another service"
)


def pool_reachable(subject: Subject) -> Iterator[Check]:
    """One line for each address of each pool's API."""
    for pool in subject.config.user_pools:
        for url in pool.api_urls:
            yield _reached(url, subject.ask(get_user(url, MADE_UP)))


def _reached(url: str, answer: Answer) -> Check:
    name = "pool_reachable"
    if answer.response is None:
        return Check(name, "wrong", f"{url}: {answer.told}", mend=_WAY)
    failure = read_get_user(answer.response)
    if failure == THROTTLING:
        return Check(name, "ok", f"{url} (it throttles now)")
    if failure == UNAVAILABLE and answer.response.status < 500:
        return Check(name, "wrong", f"{url}: {answer.told}", "Cognito's answer", _NOT_COGNITO)
    if failure == UNAVAILABLE:
        mend = "ask again later; see Amazon's health dashboard"
        return Check(name, "wrong", f"{url}: HTTP status {answer.response.status}", mend=mend)
    if isinstance(failure, Failure) and failure.reason == "firewall_blocked":
        return Check(name, "wrong", f"{url}: {failure.code}", mend=failure.mend)
    return Check(name, "ok", url)


def proxy(subject: Subject) -> Iterator[Check]:
    """The proxy of requests to the pool, or an unused one in the environment."""
    if subject.network is None:
        return
    client = subject.network.client
    urls = [url for pool in subject.config.user_pools for url in pool.api_urls]
    ways = {str(way) for url in urls if (way := client.proxy_to(url)) is not None}
    if ways:
        yield Check("proxy", "ok", ", ".join(sorted(ways)))
        return
    unused = next((url for url in urls if client.unused_proxy(url)), None)
    if unused is None:
        yield Check("proxy", "ok", "none")
        return
    found = f"{client.unused_proxy(unused)} is set, and not used"
    if subject.ask(get_user(unused, MADE_UP)).response is not None:
        yield Check("proxy", "ok", f"none; {found}: the pool answers without it")
    else:
        yield Check("proxy", "warning", found, mend="write proxy='environment'")


def clock(subject: Subject) -> Iterator[Check]:
    """The clock of this machine, beside the pool's."""
    answers = () if subject.network is None else subject.network.answers
    for answer in sorted(answers, key=_doubt):
        ahead = _ahead(answer)
        if ahead is not None:
            yield _compared(ahead, subject.config.leeway)
            return
    yield Check("clock", "unknown", "no answer with a Date", mend=LATER)


def _doubt(answer: Answer) -> tuple[bool, float]:
    """The doubts about the `Date` of an answer: the least come first."""
    return answer.request.method != "POST", answer.arrived - answer.departed


def _ahead(answer: Answer) -> float | None:
    """The seconds by which this clock is ahead at least (below 0: behind); None without `Date`.

    `Date` has whole seconds, and was written between departure and arrival.
    """
    headers = {} if answer.response is None else answer.response.headers
    if "age" in headers:  # from a cache
        return None
    try:
        date = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    least, most = answer.departed - date - 1, answer.arrived - date
    return 0.0 if least <= 0 <= most else min(least, most, key=abs)


def _compared(ahead: float, leeway: float) -> Check:
    if ahead == 0:
        return Check("clock", "ok", "as the pool's")
    found = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the pool's"
    wanted = f"at most {leeway:g} s (leeway)"
    if abs(ahead) <= leeway / 2:
        return Check("clock", "ok", found, wanted)
    mend = "set this machine's clock by NTP (chronyc tracking, timedatectl)"
    return Check("clock", "warning" if abs(ahead) <= leeway else "wrong", found, wanted, mend)
