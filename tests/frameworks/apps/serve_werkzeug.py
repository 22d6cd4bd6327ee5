"""Werkzeug on a socket that is there already: `python serve_werkzeug.py FD`."""

import sys

from werkzeug.serving import make_server
from wsgi_sites import app

make_server("127.0.0.1", 0, app, threaded=True, fd=int(sys.argv[1])).serve_forever()
