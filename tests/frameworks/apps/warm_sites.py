"""For `gunicorn --preload`: the parent has served a request, keys, threads, connections and all."""

import os

from werkzeug.test import Client
from wsgi_sites import app

_answer = Client(app, use_cookies=False).get(
    "/whoami",
    headers={"X-Site": "flask", "Cookie": f"amplify-session={os.environ['WARM_UP_TOKEN']}"},
)
assert _answer.status_code == 200, _answer.text
