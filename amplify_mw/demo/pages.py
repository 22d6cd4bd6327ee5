"""The demo's pages: values in, HTML out. The frame around them is in `frame.py`.

- No page shows a token or the cookie's id, or why a cookie was refused.
- `code`: functions for the page to show, as they are.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from amplify_mw import AuthUser, CookiePolicy, SessionInfo, SignedInTokens

from .device import in_words
from .frame import SECURITY_HEADERS as SECURITY_HEADERS
from .frame import excerpt, page, table
from .people import PASSWORD, PEOPLE
from .profile import Profile

Code = Iterable[Callable[..., Any]]

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
<li>Open the <a href="/members">members&rsquo; page</a>. The middleware guards it, and sends you
to sign in.</li>
<li>That page is the user pool&rsquo;s own, at another address. Sign in as <code>{username}</code>
with the password <code>{password}</code>. You come back to the page you wanted.</li>
<li>Look at the <a href="/profile">profile</a>, and at the code that made it.</li>
<li>Open the <a href="/admins">admins&rsquo; page</a> as <code>ada</code>, and as
<code>grace</code>: it is for the group <code>admins</code>.</li>
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
<table class="facts">
<thead><tr><th scope="col">User name</th><th scope="col">Try</th></tr></thead>
<tbody>{rows}</tbody>
</table>
<p class="note">Everybody&rsquo;s password is <code>{password}</code>.</p>
</section>
""")


def signed_out(reason: str, cookie: CookiePolicy, notice: str | None) -> str:
    """Home, without a user. `reason`: of the error by which nobody is signed in."""
    if reason not in ("no_session", "duplicate_cookie"):
        return _cookie_refused(cookie, is_ended=reason == "session_revoked")
    row = Markup('<tr><th scope="row">{}</th><td>{}. {}</td></tr>')
    rows = Markup().join(row.format(one.username, one.name, one.shows) for one in PEOPLE)
    people = _PEOPLE.format(rows=rows, password=PASSWORD)
    try_it = _TRY_IT.format(username=PEOPLE[0].username, password=PASSWORD)
    return page("Home", _WELCOME.format(try_it=try_it, people=people), "/", notice)


_HOME: Final = Markup("""\
<h1>You are signed in as {username}.</h1>
<p class="lead">This browser sent a cookie. The middleware found the session it belongs to before
this page&rsquo;s code ran.</p>
<section class="card">
<h2>Look around</h2>
<p>The <a href="/profile">profile</a> knows you three calls deep. The
<a href="/members">members&rsquo; page</a> is for you too. The
<a href="/admins">admins&rsquo; page</a> is for a group; you are in {groups}.
<a href="/devices">Your devices</a> are listed, and you can sign out any of them.</p>
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
    tokens: SignedInTokens,
    sessions: Iterable[SessionInfo],
    cookie: CookiePolicy,
    now: float,
    notice: str | None,
) -> str:
    """Home, for a signed-in user. `now`: seconds since the epoch."""
    spans = [
        ("Session", session.created_at, session.expires_at)
        for session in sessions
        if session.is_current
    ]
    for name, token in (("ID token", tokens.id_token), ("Access token", tokens.access_token)):
        spans.append((name, token.payload["iat"], token.payload["exp"]))
    row = Markup('<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>')
    lasting = Markup().join(
        row.format(name, _moment(since, now), _moment(until, now)) for name, since, until in spans
    )
    groups = ", ".join(user.groups) or "none"
    main = _HOME.format(username=user.username, groups=groups, lasting=lasting, cookie=cookie.name)
    return page("Home", main, "/", notice)


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
<p>{what} So nobody is signed in, and this response clears the cookie:</p>
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


def _cookie_refused(cookie: CookiePolicy, *, is_ended: bool) -> str:
    """Home, after the middleware refused the cookie. `is_ended`: by another device."""
    texts = _WAS_ENDED if is_ended else _MEANS_NOTHING
    main = _COOKIE_REFUSED.format(clearing=cookie.clearing, **texts)
    return page("Signed out", main, "/")


# Profile and members

_PROFILE: Final = Markup("""\
<h1>{greeting}</h1>
<p class="lead">Three calls deep, with no request in hand.</p>
<section class="card">
<h2>The user</h2>
<p class="note">From <code>get_current_user()</code>. It never waits.</p>
{user}
</section>
<section class="card">
<h2>The attributes</h2>
<p class="note">From <code>fetch_user_attributes()</code>, which asked the user pool
(<code>GetUser</code>) and remembers the answer for a minute.</p>
{attributes}
</section>
<section class="card">
<h2>The code that asked</h2>
<p>These are the functions that made this page, as they are in
<code>amplify_mw/demo/profile.py</code>. None of them takes an argument.</p>
{code}
</section>
""")


def profile(profile: Profile, code: Code) -> str:
    """The profile, and the code behind it."""
    person = profile.person
    main = _PROFILE.format(
        greeting=profile.greeting,
        user=table(
            [
                ("username", person.user.username),
                ("user_id", person.user.user_id),
                ("groups", ", ".join(person.user.groups)),
            ]
        ),
        attributes=table(sorted(person.attributes.items())),
        code=excerpt(code),
    )
    return page("Profile", main, "/profile")


_MEMBERS: Final = Markup("""\
<h1>For members</h1>
<p class="lead">Welcome, {username}. This page is for everybody who is signed in, yet its code
checks nothing.</p>
<section class="card">
<h2>The check</h2>
<p>The middleware checks the path, before it calls the page&rsquo;s code. If nobody is signed in, it
sends a browser to <code>/auth/sign-in</code>, and back to this page afterwards. A script gets a
<code>401</code>. The middleware serves the routes below <code>/auth</code> too: this site has no
code of its own for signing in.</p>
{code}
</section>
""")


def members(user: AuthUser, code: Code) -> str:
    """The page for everybody who is signed in."""
    main = _MEMBERS.format(username=user.username, code=excerpt(code))
    return page("Members", main, "/members")


_ADMINS: Final = Markup("""\
<h1>For admins</h1>
<p class="lead">Welcome, {username}. Your token says that you are in the group
<code>admins</code>.</p>
<section class="card">
<h2>The check</h2>
<p>Here the code asks, in one line. Somebody who is signed in but not in the group gets a
<code>403</code>. Sign in as <code>grace</code> and see.</p>
{code}
</section>
""")


def admins(user: AuthUser, code: Code) -> str:
    """The page for one group."""
    main = _ADMINS.format(username=user.username, code=excerpt(code))
    return page("Admins", main, "/admins")


_FORBIDDEN: Final = Markup("""\
<section class="card bad">
<h1>This page is for admins.</h1>
<p>You are signed in as {username}, and not in the group <code>admins</code>. So the answer is
<code>403 Forbidden</code>, and you stay signed in.</p>
<p class="actions"><a class="button" href="/auth/sign-in?next=%2Fadmins&amp;prompt=login">Sign in as
somebody else</a> <a href="/">Home</a></p>
<p class="note"><code>ada</code> is in the group. Her password is <code>{password}</code>.</p>
</section>
<section class="card">
<h2>The code of this page</h2>
<p><code>require_auth</code> raised a <code>ForbiddenException</code>. This site answers it with a
page of its own.</p>
{code}
</section>
""")


def forbidden(user: AuthUser, code: Code) -> str:
    """The page in place of the one for admins, with a 403."""
    main = _FORBIDDEN.format(username=user.username, password=PASSWORD, code=excerpt(code))
    return page("For admins only", main, "/admins")


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
    '<form method="post" action="/devices/{}/end"><button class="second" '
    'aria-label="End the session of {}">End</button></form>'
)


def devices(
    user: AuthUser, sessions: Iterable[SessionInfo], now: float, notice: str | None, code: Code
) -> str:
    """The list of devices. Each has a button to end its session, except this device."""
    this_first = sorted(sessions, key=lambda session: not session.is_current)
    items = Markup().join(_device(session, now) for session in this_first)
    main = _DEVICES.format(username=user.username, devices=items, code=excerpt(code))
    return page("Your devices", main, "/devices", notice)


def _device(session: SessionInfo, now: float) -> Markup:
    name = in_words(session.user_agent)
    return _DEVICE.format(
        name=name,
        badge=_THIS_DEVICE if session.is_current else "",
        created=_distance(session.created_at, now),
        seen="now" if session.is_current else _distance(session.seen_at, now),
        button="" if session.is_current else _END.format(session.handle, name),
    )


# A failed sign-in

_NOT_SIGNED_IN: Final = Markup("""\
<h1>The sign-in failed.</h1>
<p class="lead">{reason}</p>
<p class="actions"><a class="button" href="/auth/sign-in?next=%2F">Sign in</a>
<a href="/">Home</a></p>
""")
_REASONS: Final = {
    "access_denied": "The user pool says that the sign-in was cancelled or refused.",
    "attempt_expired": "Your browser kept no cookie of several attempts. See whether it blocks "
    "the cookies of this site.",
    "provider_unavailable": "The user pool does not answer. Try again in a moment.",
}
_ANOTHER_REASON: Final = "The user pool sent back something that this site had not asked for."


def not_signed_in(code: str) -> str:
    """After a failed sign-in. `code`: the sign-in routes' word for the reason."""
    reason = _REASONS.get(code, _ANOTHER_REASON)
    return page("Not signed in", _NOT_SIGNED_IN.format(reason=reason))


# Errors

_ERROR: Final = Markup("""\
<h1>{title}</h1>
<p class="lead">{text}</p>
<p class="actions"><a class="button" href="/">Home</a></p>
""")
_TEXTS: Final = {
    "Not Found": "This site has no page at this address.",
    "Method Not Allowed": "This address is for a button on one of the pages.",
}


def error(title: str) -> str:
    """The page for an error. `title`: HTTP's name of its status."""
    return page(title, _ERROR.format(title=title, text=_TEXTS.get(title, "This did not work.")))


# The cookie


def with_another_start(value: str) -> str:
    """`value` with its first character changed.

    >>> with_another_start("value")
    'Aalue'
    """
    return ("B" if value[0] == "A" else "A") + value[1:]
