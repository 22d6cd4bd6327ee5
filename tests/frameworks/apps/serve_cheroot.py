"""Cheroot on a socket that is there already: `python serve_cheroot.py FD`."""

import os
import sys

from cheroot.wsgi import Server
from wsgi_sites import app

os.dup2(int(sys.argv[1]), 3)  # as systemd hands one over
os.environ["LISTEN_PID"] = str(os.getpid())
Server(("127.0.0.1", 0), app, timeout=300).safe_start()
