"""The demo behind `amplify-mw demo`: a small site with sign-in, on this machine alone.

    site.py      the site: a plain WSGI app, and the one line that puts the middleware around it
    profile.py   code that knows nothing of requests, and knows the user all the same
    cognito.py   the password sign-in, as one call of Cognito's API
    device.py    what a browser is called in the list of devices
    pages.py     the HTML
    server.py    the user pool, its users, and Werkzeug's server

Start reading at `site.py`.
"""
