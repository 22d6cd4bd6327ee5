"""The demo behind `amplify-mw demo`: a small site with sign-in, on this machine alone.

    site.py      the site: a plain WSGI app, and the middleware around it, which signs people in
    profile.py   code without a request, which knows the user all the same
    device.py    names of browsers in the list of devices
    pages.py     the HTML
    people.py    the users of the pool
    server.py    the user pool, and Werkzeug's server

Start reading at `site.py`.
"""
