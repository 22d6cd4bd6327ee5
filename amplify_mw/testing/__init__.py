"""For tests: a user pool on this machine, and a user without any middleware.

with LocalUserPool() as pool:           # a real HTTP server on 127.0.0.1
    pool.add_user("ada", email="ada@example.com")
    app = AmplifyWSGIMiddleware(app, pool.config())

with signed_in("ada", email="ada@example.com"):
    assert get_current_user().username == "ada"
"""

from .clients.clients import SignedInClients as SignedInClients
from .clients.people import Person as Person
from .identity import signed_in as signed_in
from .identity import signed_in_machine as signed_in_machine
from .identity import signed_out as signed_out
from .pool.pool import LocalUser as LocalUser
from .pool.pool import LocalUserPool as LocalUserPool
from .pool.pool import StateError as StateError
from .pool.redirects import AlteredRedirect as AlteredRedirect
from .pool.redirects import AuthorizeError as AuthorizeError
from .pool.region import Replica as Replica
from .pool.server import Body as Body
from .pool.server import CognitoError as CognitoError
from .pool.server import Down as Down
from .pool.server import Drip as Drip
from .pool.server import Fault as Fault
from .pool.server import Gate as Gate
from .pool.server import Lost as Lost
from .pool.server import Redirect as Redirect
from .pool.server import Status as Status
from .pool.server import Throttling as Throttling
from .pool.signing import new_signing_key as new_signing_key
