"""Misspelt options, each an error of the type checker: mypy and pyright read this file.

An `ignore` without an error is an error itself, so a mistake that they miss is told. Nothing here
is ever called.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from amplify_mw import AmplifyConfig, CookiePolicy
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.fastapi import AmplifyAuth
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def configurations() -> None:
    config = AmplifyConfig.from_env(protect=["/account/*"])
    AmplifyConfig.from_env(protected=["/account/*"])  # type: ignore[call-arg]
    AmplifyConfig.from_env(protect=1)  # type: ignore[arg-type]
    AmplifyConfig.from_outputs("amplify_outputs.json", login_url="/login")
    AmplifyConfig.from_outputs("amplify_outputs.json", loginUrl="/login")  # type: ignore[call-arg]
    AmplifyConfig(user_pool_id="a", client_id="b", protected=[])  # type: ignore[call-arg]
    CookiePolicy(samesite="Lax")  # type: ignore[call-arg]
    config.replace(leeway=10, pools=[])
    config.replace(leway=10)  # type: ignore[call-arg]


def around_wsgi(app: Flask, config: AmplifyConfig) -> None:
    AmplifyWSGIMiddleware(app.wsgi_app, config, protect=["/account/*"])
    AmplifyWSGIMiddleware(app.wsgi_app, config, protected=[])  # type: ignore[call-overload]
    AmplifyWSGIMiddleware(app.wsgi_app)  # type: ignore[call-overload]


def around_asgi(app: Starlette, config: AmplifyConfig) -> None:
    AmplifyASGIMiddleware(app, config, protect=["/account/*"])
    AmplifyASGIMiddleware(app=app, config=config, protect=["/account/*"])
    AmplifyASGIMiddleware(app, config, protected=[])  # type: ignore[call-overload]
    AmplifyASGIMiddleware(app)  # type: ignore[call-overload]


def added(app: Starlette, fast: FastAPI, config: AmplifyConfig) -> None:
    app.add_middleware(AmplifyASGIMiddleware, config=config, protect=["/account/*"])
    app.add_middleware(AmplifyASGIMiddleware, config, public=["/account/help"])
    app.add_middleware(AmplifyASGIMiddleware, config=config, protected=[])  # type: ignore[call-arg]
    fast.add_middleware(AmplifyASGIMiddleware, config=config)


def dependencies(config: AmplifyConfig) -> None:
    auth = AmplifyAuth(config, docs_client_id="docs")
    AmplifyAuth(config, doc_client_id="docs")  # type: ignore[call-arg]
    auth.require(groups=["editors"])
    auth.require(group=["editors"])  # type: ignore[call-overload]
    auth.require(machines=True, scopes=["orders/write"])
    auth.require(machines=True, groups=["editors"])  # type: ignore[call-overload]
