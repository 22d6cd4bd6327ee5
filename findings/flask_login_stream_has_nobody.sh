#!/usr/bin/env bash
# Flask-Login: in a streamed response, and in a thread, current_user is None, and nothing says why.
#
# Version    PyPI Flask-Login 0.6.3, Flask 3.1.3.
# Behaviour  Outside of a request's context current_user stands for None: not for the signed-in user,
#            nor for its own AnonymousUserMixin, and without an error. A generator that a view returns
#            runs there, since Flask takes its context down when the view returns.
# Expected   A RuntimeError, "Working outside of request context", as of Flask's own `request` and
#            `session` at the same place.
# Hurt       Streamed pages: `if current_user:` finds nobody where ada is signed in, and ada is shown
#            what strangers are shown. `current_user.is_authenticated` is an AttributeError after the
#            status 200 has gone.
# Way out    flask.stream_with_context around the generator, copy_current_request_context for the
#            thread; or read the user before, by current_user._get_current_object().
# Source     maxcountryman/flask-login, src/flask_login/utils.py (_get_user).
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | in the view: current_user is ada, session says ada
#   | in its stream: current_user is None, session says RuntimeError
#   | in a thread: current_user is None, session says RuntimeError
#   | in stream_with_context: current_user is ada, session says ada
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  flask-login==0.6.3 flask==3.1.3 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
from threading import Thread

from flask import Flask, Response, session, stream_with_context
from flask_login import LoginManager, UserMixin, current_user, login_user


class User(UserMixin):
    id = "ada"

    def __repr__(self):
        return self.id


app = Flask("site")
app.secret_key = "a secret of the site, long enough for it"
LoginManager(app).user_loader(lambda _: User())


def seen():
    try:
        stored = session["_user_id"]
    except RuntimeError as error:
        stored = type(error).__name__
    return f"current_user is {current_user._get_current_object()!r}, session says {stored}"


def parts():
    yield seen()


@app.post("/in")
def sign_in():
    login_user(User())
    return ""


@app.get("/view")
def view():
    return seen()


@app.get("/stream")
def stream():
    return Response(parts())


@app.get("/kept")
def kept():
    return Response(stream_with_context(parts()))


@app.get("/thread")
def thread():
    found = []
    worker = Thread(target=lambda: found.append(seen()))
    worker.start()
    worker.join()
    return found[0]


browser = app.test_client()
browser.post("/in")
print(f"in the view: {browser.get('/view').text}")
print(f"in its stream: {browser.get('/stream').text}")
print(f"in a thread: {browser.get('/thread').text}")
print(f"in stream_with_context: {browser.get('/kept').text}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
