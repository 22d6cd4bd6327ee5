"""For tests: a user pool on this machine, and a user without any middleware.

with LocalUserPool() as pool:           # a real HTTP server on 127.0.0.1
    pool.add_user("ada", email="ada@example.com")
    app = AmplifyWSGIMiddleware(app, pool.config())

with signed_in("ada", email="ada@example.com"):
    assert get_current_user().username == "ada"
"""

from .identity import signed_in as signed_in
from .identity import signed_out as signed_out
from .pool import LocalUser as LocalUser
from .pool import LocalUserPool as LocalUserPool
from .redirects import AlteredRedirect as AlteredRedirect
from .redirects import AuthorizeError as AuthorizeError
from .server import Body as Body
from .server import CognitoError as CognitoError
from .server import Down as Down
from .server import Drip as Drip
from .server import Fault as Fault
from .server import Gate as Gate
from .server import Lost as Lost
from .server import Redirect as Redirect
from .server import Status as Status
from .server import Throttling as Throttling
