"""The scripts that Redis runs (Lua): each is one step for all who look.

Rules:
- A script's `KEYS` and `ARGV` are told above it.
- What is no record of ours is not found, and written over. Where a value of another type may stand,
  that is `pcall`.
- Sent again because an answer was lost, a script changes nothing twice, and answers alike (but
  `DELETE`, which finds nothing then).
- The server's clock counts leases. Fences are at least its time in milliseconds, so that they rise
  even where the last one has been lost (it is kept for a day).
"""

from typing import Final

from ..sessions.record import ENDED
from .redis_records import HEADER_SIZE, MAGIC, USER_SIZE_AT

_VERSION: Final = f"""
local function version(key)
  local head = redis.pcall('GETRANGE', key, 0, 11)
  if type(head) == 'string' and #head == 12 and string.sub(head, 1, 4) == '{MAGIC.decode()}' then
    return (struct.unpack('>I8', head, 5))
  end
end
"""
_KEEP: Final = """
local function keep()
  redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
  if KEYS[2] then
    if type(redis.pcall('ZADD', KEYS[2], ARGV[2], ARGV[3])) == 'table' then
      redis.call('DEL', KEYS[2])
      redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', redis.call('TIME')[1] * 1000)
    local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
    if last then redis.call('PEXPIREAT', KEYS[2], last) end
  end
  redis.call('PUBLISH', ARGV[4], ARGV[3])
  return 1
end
"""
_HOLDS: Final = """
local function holds(key)
  local held = redis.pcall('GET', key)
  return type(held) == 'string' and string.match(held, '^(%d+):') == ARGV[1]
end
"""

# CREATE and REPLACE. KEYS: session, and the user's list if it is somebody's.
# ARGV: packed record, expiry in milliseconds, key, channel.
CREATE: Final = f"""{_VERSION}{_KEEP}
if version(KEYS[1]) then return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0 end
return keep()
"""
REPLACE: Final = f"""{_VERSION}{_KEEP}
local old = version(KEYS[1])
if not old or old > struct.unpack('>I8', ARGV[1], 5) then return 0 end
return keep()
"""

# KEYS: session, lease. ARGV: key, channel, what the names of users' lists begin with.
DELETE: Final = f"""{_VERSION}
local found = version(KEYS[1])
local packed = found and redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('PUBLISH', ARGV[2], ARGV[1])
if not found then return 0 end
if #packed >= {HEADER_SIZE} then
  local size = struct.unpack('>I4', packed, {USER_SIZE_AT + 1})
  local user = string.sub(packed, {HEADER_SIZE + 1}, {HEADER_SIZE} + size)
  redis.pcall('ZREM', ARGV[3] .. redis.sha1hex(user), ARGV[1])
end
return 1
"""

# KEYS: the user's list. ARGV: what the names of sessions begin with.
OF_USER: Final = """
local keys, found = redis.pcall('ZRANGE', KEYS[1], 0, -1), {}
if keys.err then return found end
for _, key in ipairs(keys) do
  local packed = redis.pcall('GET', ARGV[1] .. key)
  if type(packed) == 'string' then
    found[#found + 1] = key
    found[#found + 1] = packed
  else
    redis.call('ZREM', KEYS[1], key)
  end
end
return found
"""

# KEYS: session, lease, the last fence. ARGV: the taker, milliseconds.
ACQUIRE: Final = f"""{_VERSION}
local old = version(KEYS[1])
if not old then return false end
local held = redis.pcall('GET', KEYS[2])
if type(held) == 'string' then
  local fence, taker = string.match(held, '^(%d+):(.+)$')
  if fence then return taker == ARGV[1] and fence end
end
local now = redis.call('TIME')
local last = tonumber(redis.pcall('GET', KEYS[3])) or 0
if not (last < {ENDED}) then last = 0 end
local fence = math.max(old, last, now[1] * 1000 + math.floor(now[2] / 1000)) + 1
if fence > {ENDED} then return false end
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], fence, 'PX', 86400000)
return fence
"""

# KEYS: session, lease. ARGV: fence, milliseconds.
RENEW: Final = f"""{_VERSION}{_HOLDS}
if version(KEYS[1]) and holds(KEYS[2]) then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 0
"""

# KEYS: lease. ARGV: fence.
RELEASE: Final = f"""{_HOLDS}
if holds(KEYS[1]) then redis.call('DEL', KEYS[1]) end
"""
