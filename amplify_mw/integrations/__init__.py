"""One line per framework: an `AuthError` raised in a view gets the guard's answer.

    amplify_mw.integrations.flask       AmplifyAuth(app, config), or handle_auth_errors(app)
    amplify_mw.integrations.quart       AmplifyAuth(app, config), or handle_auth_errors(app)
    amplify_mw.integrations.bottle      app.install(AmplifyAuth(config)), or handle_auth_errors(app)
    amplify_mw.integrations.starlette   handle_auth_errors(app)
    amplify_mw.integrations.fastapi     AmplifyAuth(config): dependencies, and the sign-in of /docs
    amplify_mw.integrations.pyramid     config.include("amplify_mw.integrations.pyramid")
    amplify_mw.integrations.litestar    AmplifyPlugin(config), in plugins
    amplify_mw.integrations.falcon      handle_auth_errors(app), for WSGI and ASGI
    amplify_mw.integrations.blacksheep  handle_auth_errors(app)
    amplify_mw.integrations.sanic       handle_auth_errors(app), under an ASGI server
    amplify_mw.integrations.django      AuthErrorMiddleware, in MIDDLEWARE

    amplify_mw.integrations             answer_for(request, error), for any other framework, and
                                        refuse_socket(scope, send, error, accepted=...)
    amplify_mw.integrations.mcp         a server of the Model Context Protocol, for agents

Rules:
- Each module imports its one framework; nothing else in the package imports any.
- The answer is the one the middleware gives (`answer_for`): status, headers and body.
- Without a middleware around the app the error stays an error: it never turns into a 401.
"""

from .answering import answer_for as answer_for
from .answering import refuse_socket as refuse_socket
