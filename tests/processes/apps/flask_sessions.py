"""A Flask site, whose sessions the environment describes."""

import json
import os
from typing import Any

from flask import Flask, request

from amplify_mw import end_session, get_current_user, list_sessions, start_session
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.processes.sites import Spec

spec = Spec(**json.loads(os.environ["SITE"]))
app = Flask(__name__)
handle_auth_errors(app)


@app.post("/in")
def sign_in() -> str:
    return start_session(request.get_json(), user_agent=request.headers["User-Agent"]).username


@app.get("/")
def home() -> Any:
    return {"user": get_current_user().username, "pid": os.getpid()}


@app.get("/devices")
def devices() -> list[str]:
    return [session.user_agent for session in list_sessions()]


@app.post("/out")
def sign_out() -> str:
    end_session()
    return "bye"


app.wsgi_app = AmplifyWSGIMiddleware(  # type: ignore[method-assign]
    app.wsgi_app, spec.config(spec.open()), protect=["/devices"]
)
