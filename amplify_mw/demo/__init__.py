"""The demo behind `amplify-mw demo`: a small site with sign-in, on this machine alone.

    app_flask.py    the site in Flask: an example to copy
    app_fastapi.py  the same site in FastAPI
    profile.py      code without a request, and the user is known there too
    pages.py        the HTML, and its frame.py and style.css
    device.py       names of browsers in the list of devices
    people.py       the users of the pool
    host.py         the one host name of the site: localhost
    server.py       runs the user pool and the site

Start reading at `app_flask.py` or `app_fastapi.py`.
"""
