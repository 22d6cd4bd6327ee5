"""The scripts that Redis runs (Lua): each is atomic, and touches one key.

Rules:
- The one key is `KEYS[1]`. A script begins with `#!lua`, so a server in cluster mode refuses it as
  soon as it touches a key of another slot. Its `ARGV` are listed above it.
- A value that is no packed session, or has another type, counts as not found, and is overwritten.
  Any other refusal to read ends the script, since it says nothing about a session.
- If an ACL refuses a script, nothing is changed: it checks its permissions before it writes. A
  session and its user's list are written by two scripts: each checks the permissions of both.
- `PUBLISH` may be refused. A listener tests it before it trusts its local cache.
- A script may be sent twice because an answer was lost. It then changes nothing a second time, and
  gives the same answer: it finds its own stamp, or the taker of a lease. What `REMOVE` has removed
  is kept for ten seconds, for this alone: nothing else finds it. (`BURY` then gives the tombstone
  in place of the record.)
- What has to reach replicas is written even if it is there already (`write_again`, which changes
  nothing): `WAIT` waits for writes of its own connection alone, and the first one has broken.
- Leases run by the server's clock. Fences are at least its time in milliseconds, so that they rise
  even if the last one was lost. A lease that would be held for longer than one can be, because the
  clock was set back, is held by nobody.
- Scripts that only free memory run even if there is none left (`allow-oom`).
"""

from typing import Final

from ...sessions.record import ENDED, LONGEST_LEASE
from .records import EXPIRY_END, FENCE_AT, FORMAT, HEAD_SIZE, HELD_UNTIL_AT, LEASE_END, STAMP_AT

# The server's own words for it, as far as they are the same in all versions.
_PERMIT: Final = """
local function permit(command, ...)
  if redis.acl_check_cmd and not redis.acl_check_cmd(command, ...) then
    local name = string.lower(command)
    error({err = "NOPERM No permissions to run the '" .. name .. "' command on these keys"})
  end
end
"""
# Redis 7.0 does not name the command that it refuses, but `permit` does.
_READ: Final = f"""{_PERMIT}
local function read(...)
  local found = redis.pcall(...)
  if type(found) == 'table' and found.err then
    if string.sub(found.err, 1, 9) == 'WRONGTYPE' then return false end
    permit(...)
    error(found)
  end
  return found
end
"""
# The version in a head; nil if that is none.
_VERSION: Final = f"""{_READ}
local function version(head)
  if head and #head >= {LEASE_END} and string.byte(head) == {FORMAT} then
    return (struct.unpack('>I7', head, 2))
  end
end
local function stamp(head)
  return string.sub(head, {STAMP_AT + 1}, {FENCE_AT})
end
local function write_again(head)
  redis.call('SETRANGE', KEYS[1], 0, string.sub(head, 1, 1))
end
local function read_head()
  return read('GETRANGE', KEYS[1], 0, {LEASE_END - 1})
end
"""
_LEASE: Final = f"""
local function lease(head)
  return struct.unpack('>I7I6c6', head, {FENCE_AT + 1})
end
local function milliseconds()
  local now = read('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
local function hold_until(time)
  redis.call('SETRANGE', KEYS[1], {HELD_UNTIL_AT}, struct.pack('>I6', time))
end
"""
# What keeping, or ending, a session takes: of its own script, and of its user's list's.
_PERMIT_TO_KEEP: Final = """
permit('GETRANGE', KEYS[1], '0', '0')
permit('SET', KEYS[1], '')
permit('DEL', KEYS[1])
permit('ZADD', KEYS[1], '0', '')
permit('ZREMRANGEBYSCORE', KEYS[1], '0', '0')
permit('ZRANGE', KEYS[1], '0', '0')
permit('EXPIREAT', KEYS[1], '0')
permit('TIME')
"""
_PERMIT_TO_END: Final = """
permit('GET', KEYS[1])
permit('SET', KEYS[1], '')
permit('SETRANGE', KEYS[1], '0', '')
permit('DEL', KEYS[1])
permit('ZREM', KEYS[1], '')
"""
_PERMIT_TO_LEASE: Final = """
permit('SETRANGE', KEYS[1], '0', '')
"""


def _script(body: str, flags: str = "") -> str:
    """A script as it is sent: with its first line, and without indentation."""
    lines = [line.strip() for line in body.splitlines()]
    return "\n".join([f"#!lua{flags}", *[line for line in lines if line]])


# Keeps a record if there is none. ARGV: packed session, expiry in milliseconds, key, channel.
CREATE: Final = _script(f"""{_VERSION}{_PERMIT_TO_KEEP}
local head = read_head()
if version(head) then return stamp(head) == stamp(ARGV[1]) and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
redis.pcall('PUBLISH', ARGV[4], ARGV[3])
return 1
""")

# Keeps a record in place of one of no higher version. The lease stays, unless there is a fence to
# give back. ARGV: packed session, expiry in milliseconds, key, channel, fence or ''.
REPLACE: Final = _script(f"""{_VERSION}{_LEASE}{_PERMIT_TO_KEEP}
permit('SETRANGE', KEYS[1], '0', '')
local head = read_head()
local old = version(head)
if not old then return 0 end
if ARGV[5] ~= '' and lease(head) == tonumber(ARGV[5]) then
  head = string.sub(head, 1, {HELD_UNTIL_AT}) .. struct.pack('>I6', 0) .. string.sub(head, -6)
  hold_until(0)
end
if stamp(head) == stamp(ARGV[1]) then
  write_again(head)
  return 1
end
if old > version(ARGV[1]) then return 0 end
local held = string.sub(head, {FENCE_AT + 1}, {LEASE_END})
local packed = string.sub(ARGV[1], 1, {FENCE_AT}) .. held .. string.sub(ARGV[1], {LEASE_END + 1})
redis.call('SET', KEYS[1], packed, 'PXAT', ARGV[2])
redis.pcall('PUBLISH', ARGV[4], ARGV[3])
return 1
""")

# Takes a record away, and returns it. ARGV: a stamp, key, channel, '1' to leave alone a tombstone
# and anything else that is no session.
REMOVE: Final = _script(
    f"""{_VERSION}{_PERMIT_TO_END}
local packed = read('GET', KEYS[1])
local mark = '\\0' .. ARGV[1]
if packed and string.byte(packed) == 0 then
  write_again(packed)
  return string.sub(packed, 1, #mark) == mark and string.sub(packed, #mark + 1)
end
local old = version(packed)
if old == {ENDED} and ARGV[4] == '1' then
  write_again(packed)
  return false
end
if not old then
  if ARGV[4] == '' then redis.call('DEL', KEYS[1]) end
  return false
end
redis.call('SET', KEYS[1], mark .. packed, 'PX', 10000)
redis.pcall('PUBLISH', ARGV[3], ARGV[2])
return packed
""",
    " flags=allow-oom",
)

# Puts a tombstone in place of a record, with its expiry, and returns the record; or 1, if it has to
# be of one user. ARGV: the tombstone, key, channel, that user's packed name or ''.
BURY: Final = _script(
    f"""{_VERSION}{_PERMIT_TO_END}
local packed = read('GET', KEYS[1])
local old = version(packed)
if not old then
  if packed and string.byte(packed) == 0 then write_again(packed) end
  return false
end
local answer = ARGV[4] == '' and packed or 1
if old == {ENDED} then
  write_again(packed)
  return stamp(packed) == stamp(ARGV[1]) and answer
end
if string.sub(packed, {HEAD_SIZE + 1}, {HEAD_SIZE} + #ARGV[4]) ~= ARGV[4] then return false end
local kept = string.sub(packed, {FENCE_AT + 1}, {EXPIRY_END})
local rest = string.sub(ARGV[1], {EXPIRY_END + 1})
redis.call('SET', KEYS[1], string.sub(ARGV[1], 1, {FENCE_AT}) .. kept .. rest, 'KEEPTTL')
redis.pcall('PUBLISH', ARGV[3], ARGV[2])
return answer
""",
    " flags=allow-oom",
)

# Takes a lease. Returns its fence or nothing, and the session: all of it, or its head.
# ARGV: the taker, milliseconds, '1' for all of the session.
ACQUIRE: Final = _script(f"""{_VERSION}{_LEASE}{_PERMIT_TO_LEASE}
local packed = ARGV[3] == '1' and read('GET', KEYS[1])
local head = packed or read_head()
local old = version(head)
if not old then return {{false, false}} end
local fence, held_until, taker = lease(head)
local now = milliseconds()
local longest = math.max(ARGV[2], {LONGEST_LEASE * 1000:.0f})
if now < held_until and held_until <= now + longest then
  return {{taker == ARGV[1] and string.format('%.0f', fence), packed}}
end
if not (fence < {ENDED}) then fence = 0 end
fence = math.max(old, fence, now) + 1
if fence >= {ENDED} then return {{false, packed}} end
redis.call('SETRANGE', KEYS[1], {FENCE_AT}, struct.pack('>I7I6', fence, now + ARGV[2]) .. ARGV[1])
return {{string.format('%.0f', fence), packed}}
""")

# ARGV: fence, milliseconds; 0 gives the lease back.
RENEW: Final = _script(
    f"""{_VERSION}{_LEASE}{_PERMIT_TO_LEASE}
local head = read_head()
if not version(head) then return 0 end
local fence, held_until = lease(head)
local now = milliseconds()
if fence ~= tonumber(ARGV[1]) or held_until <= now then return 0 end
hold_until(ARGV[2] == '0' and 0 or now + ARGV[2])
return 1
""",
    " flags=allow-oom",
)

# Has a user's list hold a session until a second. ARGV: that second, key.
ENLIST: Final = _script(f"""{_PERMIT}{_PERMIT_TO_KEEP}
local changed = redis.pcall('ZADD', KEYS[1], 'GT', 'CH', ARGV[1], ARGV[2])
if type(changed) == 'table' then
  if string.sub(changed.err, 1, 9) ~= 'WRONGTYPE' then error(changed) end
  redis.call('DEL', KEYS[1])
  changed = redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
end
if changed == 0 then return end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. redis.call('TIME')[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then redis.call('EXPIREAT', KEYS[1], last) end
""")

# Takes a session that has ended out of its user's list. ARGV: key.
UNLIST: Final = _script(
    f"""{_PERMIT}{_PERMIT_TO_END}
redis.pcall('ZREM', KEYS[1], ARGV[1])
""",
    " flags=allow-oom",
)

ALL: Final = (CREATE, REPLACE, REMOVE, BURY, ACQUIRE, RENEW, ENLIST, UNLIST)
