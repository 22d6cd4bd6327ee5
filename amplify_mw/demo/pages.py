"""The demo's pages: values in, HTML out. Nothing here asks for the user.

Rules:
- A template is a `Markup` literal; values put into it are escaped, unless they are `Markup`, too.
- No script, and nothing from elsewhere: the one stylesheet is in the page, let in by its digest.
- No page shows a token or the cookie's id, or why a cookie was refused.
"""

import base64
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from amplify_mw import AuthUser, CookiePolicy, SessionInfo, Tokens

from .device import in_words
from .people import PASSWORD, PEOPLE
from .profile import Profile

_STYLE: Final = files(__package__).joinpath("style.css").read_text("utf-8")
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # Back must not show the last visitor's profile
}

_ICON: Final = Markup(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='5' r='3.4' fill='%231a5fb4'/%3E"
    "%3Cpath d='M1.5 15a6.5 5.6 0 0 1 13 0z' fill='%231a5fb4'/%3E%3C/svg%3E"
)

_PAGE: Final = Markup("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · amplify_mw</title>
<link rel="icon" href="{icon}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the page</a>
<header><div class="frame">
<a class="name" href="/">amplify_mw demo</a>
<nav aria-label="Pages"><ul>{links}</ul></nav>
{who}
</div></header>
<main id="main" class="frame">
{main}
</main>
<footer><div class="frame">
<p>The site and its user pool run on this machine. The code is in <code>amplify_mw/demo</code>;
start at <code>site.py</code>.</p>
</div></footer>
</body>
</html>
""")

_LINKS: Final = (
    ("/", "Home"),
    ("/profile", "Profile"),
    ("/members", "Members"),
    ("/devices", "Devices"),
)

_SIGNED_IN: Final = Markup(
    '<div class="who"><span>{username}</span>'
    '<form method="post" action="/auth/sign-out"><button class="second">Sign out</button></form>'
    "</div>"
)
_SIGNED_OUT: Final = Markup(
    '<div class="who"><a href="/auth/sign-in?next={next}">Sign in</a></div>'
)


def _page(title: str, main: Markup, *, user: AuthUser | None = None, path: str = "") -> str:
    links = [
        Markup('<li><a href="{}"{}>{}</a></li>').format(
            link, Markup(' aria-current="page"') if link == path else "", text
        )
        for link, text in _LINKS
    ]
    after = quote(path or "/", safe="")
    return _PAGE.format(
        title=title,
        icon=_ICON,
        style=Markup(_STYLE),  # noqa: S704 - the file beside this one
        links=Markup().join(links),
        who=_SIGNED_IN.format(username=user.username) if user else _SIGNED_OUT.format(next=after),
        main=main,
    )


# Home

_WELCOME: Final = Markup("""\
<h1>Who is signed in? Any code may ask.</h1>
<p class="lead">One middleware around the app, and from then on two functions without arguments
know the Amazon Cognito user of this request, however deep they are called.</p>
<pre><code>from amplify_mw import get_current_user, fetch_user_attributes

user = <mark>get_current_user()</mark>
attributes = <mark>fetch_user_attributes()</mark></code></pre>
{try_it}
{people}
""")

_TRY_IT: Final = Markup("""\
<section class="card">
<h2>Try it</h2>
<ol>
<li>Open the <a href="/members">members&rsquo; page</a>. The middleware protects it, and sends you
to sign in.</li>
<li>That is the user pool&rsquo;s own page, at another address. Sign in as <code>{username}</code>
with the password <code>{password}</code>. You are taken back to where you wanted to go.</li>
<li>Look at the <a href="/profile">profile</a>, and at the code that made it.</li>
<li>Sign in once more from another browser or a private window. Each is on the list of
<a href="/devices">your devices</a>; end one from the other. The next page there is signed out, and
signing in again takes the password.</li>
<li>Corrupt the cookie, on the home page, and see what the next page makes of it.</li>
</ol>
</section>
""")

_PEOPLE: Final = Markup("""\
<section class="card">
<h2>Who can sign in</h2>
<table>
<thead><tr><th scope="col">User name</th><th scope="col">Who that is</th></tr></thead>
<tbody>{rows}</tbody>
</table>
<p class="note">Everybody&rsquo;s password is <code>{password}</code>.</p>
</section>
""")


def welcome() -> str:
    """Home, without a user."""
    try_it = _TRY_IT.format(username=PEOPLE[0].username, password=PASSWORD)
    return _page("Home", _WELCOME.format(try_it=try_it, people=_people()), path="/")


def _people() -> Markup:
    row = Markup('<tr><th scope="row">{}</th><td>{}</td></tr>')
    rows = Markup().join(row.format(person.username, person.about) for person in PEOPLE)
    return _PEOPLE.format(rows=rows, password=PASSWORD)


_HOME: Final = Markup("""\
<h1>You are signed in as {username}.</h1>
<p class="lead">This browser sent a cookie. The middleware found the session it belongs to before
this page&rsquo;s code ran.</p>
<section class="card">
<h2>Look around</h2>
<p>The <a href="/profile">profile</a> knows you three calls deep. The
<a href="/members">members&rsquo; page</a> is for you, too. <a href="/devices">Your devices</a> are
listed, and you can sign out any of them.</p>
</section>
<section class="card">
<h2>How long this lasts</h2>
<p>The session ends after an hour without a visit, or after 30 days. The tokens last for minutes;
the middleware renews them.</p>
<table class="lasting">
<thead><tr><td></td><th scope="col">Since (UTC)</th><th scope="col">Good until</th></tr></thead>
<tbody>{lasting}</tbody>
</table>
<p class="note">Five minutes is the least that Cognito allows; an hour is usual. In the last minute
the next request has the middleware get new tokens, and the page that was asked for notices
nothing. Load this page again later and see, or do not wait:</p>
<form method="post" action="/refresh">
<button class="second">Refresh the tokens now</button></form>
</section>
<section class="card">
<h2>In the cookie: a random id</h2>
<p>Nothing else is in <code>{cookie}</code>. The tokens that Cognito answered the sign-in with are
in the site&rsquo;s store, encrypted under a key that is made from the id, which the store does not
know.</p>
<p class="note">Neither is shown here: the cookie is <code>HttpOnly</code>, so that no script reads
it, and a page that printed it would undo that.</p>
</section>
<section class="card">
<h2>Corrupt the cookie</h2>
<p>A forger can write any id, but cannot guess one of 256 random bits. This button changes one
character of yours and sets the cookie anew. See what the next page makes of it.</p>
<form method="post" action="/corrupt"><button class="harm">Corrupt the cookie</button></form>
</section>
""")


def signed_in(
    user: AuthUser,
    tokens: Tokens | None,
    sessions: Iterable[SessionInfo],
    cookie_name: str,
    now: float,
) -> str:
    """Home, for a signed-in user; `now` in seconds since the epoch."""
    spans = [
        ("Session", session.created_at, session.expires_at)
        for session in sessions
        if session.is_current
    ]
    if tokens:
        named = (("ID token", tokens.id_token), ("Access token", tokens.access_token))
        spans += [
            (name, token.payload["iat"], token.payload["exp"]) for name, token in named if token
        ]
    row = Markup('<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>')
    lasting = Markup().join(
        row.format(name, _moment(since, now), _moment(until, now)) for name, since, until in spans
    )
    main = _HOME.format(username=user.username, lasting=lasting, cookie=cookie_name)
    return _page("Home", main, user=user, path="/")


_MOMENT: Final = Markup('<time datetime="{}">{:%H:%M:%S}</time> <span class="quiet">{}</span>')


def _moment(at: float, now: float) -> Markup:
    """A time of day, and its distance from now."""
    moment = datetime.fromtimestamp(at, UTC)
    return _MOMENT.format(moment.isoformat(), moment, _distance(at, now))


_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def _distance(at: float, now: float) -> str:
    """How far off a time is, roughly.

    >>> _distance(0, now=7000), _distance(0, now=59), _distance(60, now=0)
    ('2 hours ago', 'just now', 'in 1 minute')
    """
    seconds = abs(at - now)
    for unit, length in _UNITS:
        if seconds >= length:
            count = round(seconds / length)
            far = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
            return f"in {far}" if at > now else f"{far} ago"
    return "in less than a minute" if at > now else "just now"


_COOKIE_REFUSED: Final = Markup("""\
<section class="card bad">
<h1>You are signed out, and the cookie is cleared.</h1>
<p>{what} So nobody is signed in, and this
response clears the cookie:</p>
<pre class="wraps"><code>Set-Cookie: {clearing}</code></pre>
<p class="actions"><a class="button" href="/auth/sign-in?next=%2F">Sign in again</a>
<a href="/">Load this page again</a></p>
<p class="note">{pool}</p>
</section>
<section class="card">
<h2>What happened</h2>
<ol>
<li>The middleware asked the store for the session that the cookie&rsquo;s id belongs to. It found
none that is still good.</li>
<li>The page&rsquo;s code called <code>get_current_user()</code>, which raised
<code>NotAuthorizedException</code>. The page had nothing to do with cookies.</li>
<li>The middleware added the <code>Set-Cookie</code> to the response, with the very attributes
the cookie was set with.</li>
</ol>
{more}</section>
""")
_MEANS_NOTHING: Final = {
    "what": "Your browser sent a session cookie that means nothing here.",
    "pool": "Only this site has forgotten you. The user pool remembers this browser for an hour "
    "from the sign-in on, and asks for no password until then.",
    "more": Markup("""\
<p class="note">A cookie that was made up is answered like one that has expired. The log says
why, in the terminal that runs this demo.</p>
<p class="note">Was it the button that corrupts the cookie? Then the session itself is still there,
though no browser leads to it. Sign in again, find it among your devices, and end it.</p>
"""),
}
_WAS_ENDED: Final = {
    "what": "Another device has ended this session.",
    "pool": "The user pool remembers this browser for an hour from the sign-in on, and would ask "
    "for no password. So the middleware has it ask all the same.",
    "more": Markup("""\
<p class="note">The session&rsquo;s record in the store says that it was ended from another device.
The middleware has noted that in this browser for an hour, in a cookie of the sign-in routes, which
ask the user pool with <code>prompt=login</code>.</p>
"""),
}


def cookie_refused(cookie: CookiePolicy, *, is_ended: bool) -> str:
    """Home, for somebody whose cookie the middleware refused and clears.

    `is_ended`: from another device.
    """
    texts = _WAS_ENDED if is_ended else _MEANS_NOTHING
    main = _COOKIE_REFUSED.format(clearing=cookie.clearing, **texts)
    return _page("Signed out", main, path="/")


# Profile and members

_PROFILE: Final = Markup("""\
<h1>{greeting}</h1>
<p class="lead">Three calls deep, with no request in hand.</p>
<section class="card">
<h2>The user</h2>
<p class="note">From <code>get_current_user()</code>. It never waits.</p>
<table><tbody>{user}</tbody></table>
</section>
<section class="card">
<h2>The attributes</h2>
<p class="note">From <code>fetch_user_attributes()</code>, which asked the user pool
(<code>GetUser</code>) and remembers the answer for a minute.</p>
<table><tbody>{attributes}</tbody></table>
</section>
<section class="card">
<h2>The code that asked</h2>
<p>These are the functions that made this page, as they are in
<code>amplify_mw/demo/profile.py</code>. None of them takes an argument.</p>
{code}
</section>
""")


def profile(profile: Profile, code: Markup) -> str:
    """The profile, and the code behind it."""
    person = profile.person
    main = _PROFILE.format(
        greeting=profile.greeting,
        user=_rows([("username", person.user.username), ("user_id", person.user.user_id)]),
        attributes=_rows(sorted(person.attributes.items())),
        code=code,
    )
    return _page("Profile", main, user=person.user, path="/profile")


_MEMBERS: Final = Markup("""\
<h1>For members</h1>
<p class="lead">Welcome, {username}. Only those who are signed in see this page, yet its code
checks nothing.</p>
<section class="card">
<h2>Who checks</h2>
<p>The middleware, before the page&rsquo;s code is called. Without a user, a browser is sent to
<code>/auth/sign-in</code> and comes back to where it wanted to go; anything else is answered
<code>401</code>. The routes below <code>/auth</code> are the middleware&rsquo;s, too: this site has
no code of its own that signs anybody in.</p>
{code}
</section>
""")


def members(user: AuthUser, code: Markup) -> str:
    """The protected page."""
    main = _MEMBERS.format(username=user.username, code=code)
    return _page("Members", main, user=user, path="/members")


# Your devices

_DEVICES: Final = Markup("""\
<h1>Your devices</h1>
<p class="lead">Where you are signed in as {username}. End one of these sessions, and its browser is
signed out with its very next request, and asked for the password before it is signed in again.</p>
<section class="card">
<ul class="devices">{devices}</ul>
<p class="note">Just this one? Sign in as <code>{username}</code> from another browser or a private
window, and load this page again. A visit is noted once in a while, not with each request.</p>
</section>
<section class="card">
<h2>Sign out everywhere</h2>
<p>Ends all of these sessions, and has Cognito end every sign-in of yours, with other sites as
well.</p>
<form method="post" action="/sign-out-everywhere">
<button class="harm">Sign out everywhere</button></form>
</section>
<section class="card">
<h2>The code of this page</h2>
<p>A session is ended by its handle, which gives no access. The id stays in its cookie, and this
page never learns it.</p>
{code}
</section>
""")

_DEVICE: Final = Markup("""\
<li><div><strong>{name}</strong>{badge}<br>
<span class="quiet">Signed in {created}, last seen {seen}</span></div>
{button}</li>
""")
_THIS_DEVICE: Final = Markup(' <span class="badge">this device</span>')
_END: Final = Markup(
    '<form method="post" action="/devices/end"><input type="hidden" name="handle" value="{}">'
    '<button class="second" aria-label="End the session of {}">End</button></form>'
)


def devices(user: AuthUser, sessions: Iterable[SessionInfo], now: float, code: Markup) -> str:
    """The list of devices, each but this one with a button that ends its session."""
    this_first = sorted(sessions, key=lambda session: not session.is_current)
    items = Markup().join(_device(session, now) for session in this_first)
    main = _DEVICES.format(username=user.username, devices=items, code=code)
    return _page("Your devices", main, user=user, path="/devices")


def _device(session: SessionInfo, now: float) -> Markup:
    name = in_words(session.user_agent)
    return _DEVICE.format(
        name=name,
        badge=_THIS_DEVICE if session.is_current else "",
        created=_distance(session.created_at, now),
        seen="now" if session.is_current else _distance(session.seen_at, now),
        button="" if session.is_current else _END.format(session.handle, name),
    )


_MARKED: Final = (
    "get_current_user()",
    "fetch_user_attributes()",
    'protect=["/members/*"]',
    "list_sessions()",
    "end_session_by_handle",
    "end_session(everywhere=True)",
)


def excerpt(*functions: Callable[..., Any]) -> Markup:
    """The source of functions, with the important lines marked."""
    sources = [textwrap.dedent(inspect.getsource(function)).strip() for function in functions]
    code = escape("\n\n".join(sources))
    for verb in map(escape, _MARKED):
        code = code.replace(verb, Markup("<mark>{}</mark>").format(verb))
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(code)


# A failed sign-in

_NOT_SIGNED_IN: Final = Markup("""\
<h1>The sign-in failed.</h1>
<p class="lead">{reason}</p>
<p class="actions"><a class="button" href="/auth/sign-in?next=%2F">Sign in</a>
<a href="/">Home</a></p>
""")
_REASONS: Final = {
    "access_denied": "The user pool says that the sign-in was cancelled or refused.",
    "attempt_expired": Markup(
        "Your browser kept no cookie of several attempts. See whether it blocks cookies of "
        '<a href="{origin}/">{origin}</a>.'
    ),
    "provider_unavailable": "The user pool does not answer. Try again in a moment.",
}
_ANOTHER_REASON: Final = "The user pool sent back something that this site had not asked for."


def not_signed_in(user: AuthUser | None, code: str, origin: str) -> str:
    """A sign-in has come to nothing. `code`: the routes' word for why."""
    reason = _REASONS.get(code, _ANOTHER_REASON).format(origin=origin)
    return _page("Not signed in", _NOT_SIGNED_IN.format(reason=reason), user=user)


# Errors

_ERROR: Final = Markup('<h1>{title}</h1><p class="lead">{text}</p><p><a href="/">Home</a></p>')


def error(title: str, text: str) -> str:
    """A page for an error."""
    return _page(title, _ERROR.format(title=title, text=text))


def _rows(facts: Iterable[tuple[str, str]]) -> Markup:
    row = Markup('<tr><th scope="row">{}</th><td class="value">{}</td></tr>')
    return Markup().join(row.format(name, value) for name, value in facts)
