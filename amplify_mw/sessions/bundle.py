"""`Bundle`: the content of a sealed or stored session, and its compact form.

    version, sid, turn, times, lengths | signatures | refresh token | headers and claims, deflated

Rules:
- Every token is restored byte for byte. Base64url text is kept as the bytes it encodes.
- Only headers and claims of the ID and access token are compressed, never a signature or any part
  of the refresh token: text chosen by a user must not share a compressed stream with a secret,
  since the stream's length would reveal it (as in CRIME and BREACH).
- Lengths take two bytes each, or four if one of them needs it.
- Nothing is inflated beyond the length that was written down, and that is bounded.
- `unpack` gets bytes that were authenticated before. It is strict all the same.
"""

import zlib
from struct import Struct
from typing import Final, NamedTuple

from ..cognito.verifier import MAX_TOKEN_BYTES
from ..web import base64url

MAX_TOKENS: Final = 3 * MAX_TOKEN_BYTES  # characters of all tokens together
MAX_PACKED: Final = MAX_TOKENS + 1024  # bytes: what cannot be compressed grows a little
MAX_TURN: Final = 2**53 - 1
_MAX_TIME: Final = 2**40  # seconds; so that a float holds them exactly

_RAW_DEFLATE: Final = -15  # zlib's `wbits`: no header, no checksum, a window of 32 kB

_FORMAT, _LARGE = 1, 2
# format, sid, turn, created_at, seen_at; the lengths of two headers, two claims, two signatures,
# the refresh token; its form
_HEADS: Final = {_FORMAT: Struct(">B16sQQQ7HB"), _LARGE: Struct(">B16sQQQ7IB")}
_LENGTH: Final = Struct(">H")
_LONGEST: Final = 2**16 - 1  # what fits that
_NONE, _RAW, _SEGMENTS, _COGNITO = range(4)  # forms of a refresh token
_COGNITO_HEADER: Final = base64url.encode(b'{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}') + b"."

# What Cognito's tokens say, rare things first. What is in a stored session was written with this
# very text: another one needs another `_FORMAT`.
_KNOWN: Final = (
    b"af-south-1ap-east-1ap-northeast-3ap-south-2ap-southeast-3ca-west-1eu-central-2eu-south-2"
    b"il-central-1me-central-1me-south-1mx-central-1sa-east-1us-gov-west-1ca-central-1eu-north-1"
    b"eu-south-1eu-west-3ap-south-1ap-northeast-2us-west-1eu-west-2ap-southeast-1ap-southeast-2"
    b"ap-northeast-1us-east-2us-west-2eu-central-1eu-west-1us-east-1http://127.0.0.1:"
    b'","nonce":"","birthdate":"","gender":"","middle_name":"","nickname":"","profile":"https:\\/\\/'
    b'","website":"","address":{"formatted":""},"updated_at":17,"acr":"","amr":["pwd","mfa"],'
    b'"picture":"https:\\/\\/lh3.googleusercontent.com\\/a\\/'
    b'","cognito:preferred_role":"arn:aws:iam::role\\/","cognito:roles":["arn:aws:iam::'
    b'"],"identities":[{"dateCreated":"17","userId":"","providerName":"SAMLOIDCFacebook'
    b"LoginWithAmazonSignInWithApple"
    b'","providerName":"Google","providerType":"Google","issuer":null,"primary":"true"}],'
    b'"zoneinfo":"Europe\\/","locale":"en-US","preferred_username":"","phone_number":"+1'
    b'","custom:tenant_id":"","custom:role":"admin","custom:","given_name":"","family_name":"'
    b'","name":"","email_verified":false,"phone_number_verified":true,"cognito:username":"google_'
    b'","scope":"openid profile email phone","email":"@gmail.com","email":"@example.com"}'
    b'","iss":"https://cognito-idp.us-east-1.amazonaws.com/us-east-1_","version":2,"client_id":"'
    # An ID token and an access token as they follow each other here.
    b'{"kid":"=","alg":"RS256"}{"kid":"=","alg":"RS256"}{"at_hash":"","sub":"'
    b'","email_verified":true,"iss":"https:\\/\\/cognito-idp.us-east-1.amazonaws.com\\/us-east-1_'
    b'","cognito:username":"","origin_jti":"","aud":"","event_id":"","token_use":"id'
    b'","auth_time":179,"exp":179,"iat":179,"jti":"","email":".com"}{"sub":"'
    b'","device_key":"us-east-1_","cognito:groups":["'
    b'"],"iss":"https:\\/\\/cognito-idp.us-east-1.amazonaws.com\\/us-east-1_'
    b'","client_id":"","origin_jti":"","event_id":"","token_use":"access'
    b'","scope":"aws.cognito.signin.user.admin'
    b'","auth_time":17,"exp":17,"iat":17,"jti":"","username":"'
)


class Bundle(NamedTuple):
    """The tokens of a session, and the session's name.

    `sid`: 16 bytes, the session's name through all refreshes. `turn`: the number of the refresh
    that brought these tokens, from 0. `created_at`, `seen_at`: seconds since the epoch; whole ones
    are kept.
    """

    sid: bytes
    turn: int
    created_at: float
    seen_at: float
    id_token: bytes
    access_token: bytes
    refresh_token: bytes | None

    def __repr__(self) -> str:
        return "<Bundle>"


def pack(bundle: Bundle) -> bytes:
    """The bundle in as few bytes as possible.

    Raises `ValueError` for an ID or access token other than three segments of canonical base64url,
    for tokens of more than `MAX_TOKENS` characters together, and for numbers out of range.
    """
    times = [int(_checked(time)) for time in (bundle.created_at, bundle.seen_at)]
    if len(bundle.sid) != 16 or not 0 <= bundle.turn <= MAX_TURN:
        raise ValueError("sid or turn: out of range")
    if _size(bundle) > MAX_TOKENS:
        raise ValueError(f"tokens of more than {MAX_TOKENS} characters")
    id_header, id_claims, id_signature = _parts(bundle.id_token)
    header, claims, signature = _parts(bundle.access_token)
    form, refresh_token = _refresh_form(bundle.refresh_token)
    texts = (id_header, header, id_claims, claims)
    rest = (id_signature, signature, refresh_token)
    lengths = [len(part) for part in texts + rest]
    form_of_all = _FORMAT if max(lengths) <= _LONGEST else _LARGE
    head = _HEADS[form_of_all].pack(form_of_all, bundle.sid, bundle.turn, *times, *lengths, form)
    return b"".join([head, *rest, _deflate(b"".join(texts))])


def unpack(packed: bytes) -> Bundle:
    """The bundle in packed bytes. Raises `ValueError` if there is none."""
    head = _HEADS.get(packed[0]) if packed else None
    if head is None or len(packed) < head.size:
        raise ValueError("not a packed bundle")
    _, sid, turn, created_at, seen_at, *lengths, form = head.unpack_from(packed)
    in_range = turn <= MAX_TURN and created_at < _MAX_TIME and seen_at < _MAX_TIME
    text_lengths, rest_lengths = lengths[:4], lengths[4:]
    size = sum(text_lengths)
    if not in_range or size > MAX_TOKENS:
        raise ValueError("not a packed bundle")
    id_signature, signature, refresh_token, deflated = _cut(packed[head.size :], rest_lengths)
    texts = _inflate(deflated, size)  # refuses a bundle that was cut off
    id_header, header, id_claims, claims, _ = _cut(texts, text_lengths)
    bundle = Bundle(
        sid,
        turn,
        float(created_at),
        float(seen_at),
        _token(id_header, id_claims, id_signature),
        _token(header, claims, signature),
        _refresh_token(form, refresh_token),
    )
    if _size(bundle) > MAX_TOKENS:
        raise ValueError("not a packed bundle")
    return bundle


def _cut(content: bytes, lengths: list[int]) -> list[bytes]:
    """Parts of these lengths, and the rest."""
    parts, at = [], 0
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    return [*parts, content[at:]]


def _size(bundle: Bundle) -> int:
    return len(bundle.id_token) + len(bundle.access_token) + len(bundle.refresh_token or b"")


def _checked(time: float) -> float:
    if not 0 <= time < _MAX_TIME:
        raise ValueError("created_at, seen_at: out of range")
    return time


def _parts(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, claims and signature, decoded."""
    header, claims, signature = token.split(b".")
    return base64url.decode(header), base64url.decode(claims), base64url.decode(signature)


def _token(header: bytes, claims: bytes, signature: bytes) -> bytes:
    return b"%b.%b.%b" % (
        base64url.encode(header),
        base64url.encode(claims),
        base64url.encode(signature),
    )


def _deflate(text: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=_RAW_DEFLATE, zdict=_KNOWN)
    return deflater.compress(text) + deflater.flush()


def _inflate(deflated: bytes, size: int) -> bytes:
    """The text, of exactly this size. One byte more is asked for: zlib takes 0 for "any size"."""
    inflater = zlib.decompressobj(_RAW_DEFLATE, _KNOWN)
    try:
        text = inflater.decompress(deflated, size + 1)
    except zlib.error as error:
        raise ValueError("not deflated") from error
    if len(text) != size or not inflater.eof or inflater.unused_data:
        raise ValueError("not deflated as it was written down")
    return text


def _refresh_form(token: bytes | None) -> tuple[int, bytes]:
    """The shortest form of a refresh token, and the token in that form."""
    if token is None:
        return _NONE, b""
    form = _COGNITO if token.startswith(_COGNITO_HEADER) else _SEGMENTS
    rest = token.removeprefix(_COGNITO_HEADER) if form == _COGNITO else token
    try:
        segments = [base64url.decode(segment) for segment in rest.split(b".")]
    except ValueError:
        return _RAW, token
    if max(map(len, segments)) > _LONGEST:
        return _RAW, token
    packed = b"".join([_LENGTH.pack(len(segment)) + segment for segment in segments])
    return (form, packed) if len(packed) < len(token) else (_RAW, token)


def _refresh_token(form: int, packed: bytes) -> bytes | None:
    if form == _RAW:
        return packed
    if form in (_SEGMENTS, _COGNITO):
        rest = b".".join([base64url.encode(segment) for segment in _segments(packed)])
        return _COGNITO_HEADER + rest if form == _COGNITO else rest
    if form == _NONE and not packed:
        return None
    raise ValueError("not a refresh token")


def _segments(packed: bytes) -> list[bytes]:
    segments, at = [], 0
    while at < len(packed):
        start = at + _LENGTH.size
        if start > len(packed):
            raise ValueError("a segment is cut off")
        at = start + _LENGTH.unpack_from(packed, at)[0]
        segments.append(packed[start:at])
    if at != len(packed) or not segments:
        raise ValueError("a segment is cut off")
    return segments
