"""Waitress on a socket that is there already: `python serve_waitress.py FD`."""

import socket
import sys

import waitress
from wsgi_sites import app

with socket.socket(fileno=int(sys.argv[1])) as listener:
    waitress.serve(app, sockets=[listener])
