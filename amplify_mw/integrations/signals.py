"""What the extensions of Flask and Quart share: signals, and their configuration.

    @user_signed_in.connect_via(app)
    def note(app, event, **extra):
        audit.info("signed in: %s", event.user_id)

Rules:
- A signal is an event of `amplify_mw.events`, sent at once and on the thread of the event, with the
  app as its sender and no app context.
- An app gets the events of its own requests alone, whatever other apps share its pool. The app's
  own `on_event` is called first, and an error of it or of a receiver is logged.
- The app is not kept alive by them.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from blinker import NamedSignal, Namespace

from ..config.config import AmplifyConfig
from ..config.options import Options
from ..errors import ConfigurationError, kind_of
from ..events import Event, Refreshed, Refused, Revoked, SignedIn, SignedOut, SignInFailed

EXTENSION: Final = "amplify_mw"  # in `app.extensions`
SETTING: Final = "AMPLIFY_MW"  # in `app.config`

_signals: Final = Namespace()
user_signed_in: Final[NamedSignal] = _signals.signal("user-signed-in")
sign_in_failed: Final[NamedSignal] = _signals.signal("sign-in-failed")
user_signed_out: Final[NamedSignal] = _signals.signal("user-signed-out")
request_refused: Final[NamedSignal] = _signals.signal("request-refused")
session_refreshed: Final[NamedSignal] = _signals.signal("session-refreshed")
session_revoked: Final[NamedSignal] = _signals.signal("session-revoked")

_SIGNALS: Final[Mapping[type[Any], NamedSignal]] = {
    SignedIn: user_signed_in,
    SignInFailed: sign_in_failed,
    SignedOut: user_signed_out,
    Refused: request_refused,
    Refreshed: session_refreshed,
    Revoked: session_revoked,
}


def extension_config(
    kind: type[Any], app: Any, given: AmplifyConfig | None, options: Options
) -> AmplifyConfig:
    """The configuration of an app's extension, with the signals as its listener.

    `kind`: the class, Flask or Quart. `given`: the argument; None: `app.config["AMPLIFY_MW"]`.
    `options` override both. Raises `ConfigurationError`, for a second extension of one app too.
    """
    if isinstance(app, AmplifyConfig):
        raise ConfigurationError(
            "app: got a configuration; write AmplifyAuth(app, config), or "
            "auth = AmplifyAuth(config=config) and auth.init_app(app)"
        )
    if not isinstance(app, kind):
        raise ConfigurationError(
            f"app: write a {kind.__name__} app; got {kind_of(app)}. Each framework has its own "
            "module in amplify_mw.integrations"
        )
    if EXTENSION in app.extensions:
        raise ConfigurationError(
            "AmplifyAuth: this app has one already; write AmplifyAuth(app, config), or "
            "auth = AmplifyAuth() and auth.init_app(app, config), and only once"
        )
    config = _read(app.config.get(SETTING) if given is None else given, options)
    own = config.on_event
    listeners = own if isinstance(own, tuple) else () if own is None else (own,)
    return config.replace(on_event=(*listeners, _teller(app)))


def _read(source: Any, options: Options) -> AmplifyConfig:
    if isinstance(source, AmplifyConfig):
        return source.replace(**options) if options else source
    if isinstance(source, str | os.PathLike):
        return AmplifyConfig.from_outputs(source, **options)
    if isinstance(source, Mapping):  # in capitals, if it comes of `from_prefixed_env`
        return AmplifyConfig(**{**{str(key).lower(): source[key] for key in source}, **options})
    told = "it is missing" if source is None else f"got {kind_of(source)}"
    raise ConfigurationError(
        f"config: {told}; write AmplifyAuth(app, config) with config = "
        f"AmplifyConfig.from_outputs('amplify_outputs.json'), or set app.config[{SETTING!r}] "
        "before init_app(app): to a configuration, the path of amplify_outputs.json, or a dict of "
        "options"
    )


def _teller(app: object) -> Callable[[Event], None]:
    """The listener that tells the signals' receivers."""
    # The configuration is a key among all engines: it would keep the app alive.
    reference = weakref.ref(app)

    def tell(event: Event) -> None:
        signal, sender = _SIGNALS.get(type(event)), reference()
        if signal is not None and sender is not None:
            signal.send(sender, event=event)

    return tell
