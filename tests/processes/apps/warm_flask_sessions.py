"""For `gunicorn --preload`: the parent has started a session, refreshed it, and has ended none."""

import os

from flask_sessions import app
from werkzeug.test import Client

visitor = Client(app)
answer = visitor.post(
    "/in",
    data=os.environ["WARM_UP"],
    content_type="application/json",
    headers={"User-Agent": "warm-up"},
)
assert answer.status_code == 200, answer.text
assert visitor.get("/").status_code == 200
