"""The scripts that Redis runs (Lua): each is atomic.

Rules:
- `KEYS` and `ARGV` of a script are listed above it.
- A value that is not one of our records, or has another type, counts as not found, and is
  overwritten. Any other refusal to read ends the script, since it says nothing about a session.
- If an ACL refuses a script, nothing is changed: it checks its permissions before it writes.
- `PUBLISH` may be refused. A listener tests it before it trusts its local cache.
- A script may be sent twice because an answer was lost. It then changes nothing a second time, and
  gives the same answer (except `DELETE`, which finds nothing then).
- Leases run by the server's clock. Fences are at least its time in milliseconds, so that they rise
  even if the last one was lost (it is kept for a day).
"""

from typing import Final

from ...sessions.record import ENDED
from .records import EXPIRES_AT, HEADER_SIZE, MAGIC, USER_SIZE_AT

_READ: Final = """
local function read(...)
  local found = redis.pcall(...)
  if type(found) == 'table' and found.err then
    if string.sub(found.err, 1, 9) ~= 'WRONGTYPE' then error(found) end
    return false
  end
  return found
end
"""
_VERSION: Final = f"""{_READ}
local function version(key)
  local head = read('GETRANGE', key, 0, 11)
  if head and #head == 12 and string.sub(head, 1, 4) == '{MAGIC.decode()}' then
    return (struct.unpack('>I8', head, 5))
  end
end
"""
# The server's own words for it, as far as they are the same in all versions.
_PERMIT: Final = """
local function permit(...)
  for _, words in ipairs({...}) do
    if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(words)) then
      local name = string.lower(words[1])
      error({err = "NOPERM No permissions to run the '" .. name .. "' command on these keys"})
    end
  end
end
"""
# Has a user's list hold a session. `permit_list`: may it?
_ENLIST: Final = """
local function permit_list(list)
  permit({'ZADD', list, '0', ''}, {'DEL', list}, {'ZREMRANGEBYSCORE', list, '0', '0'},
    {'ZRANGE', list, '0', '0'}, {'PEXPIREAT', list, '0'}, {'TIME'})
end
local function enlist(list, expiry, key)
  local now = redis.call('TIME')[1] * 1000
  local added = redis.pcall('ZADD', list, expiry, key)
  if type(added) == 'table' then
    if string.sub(added.err, 1, 9) ~= 'WRONGTYPE' then error(added) end
    redis.call('DEL', list)
    redis.call('ZADD', list, expiry, key)
  end
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  local last = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', list, last) end
end
"""
_KEEP: Final = f"""{_PERMIT}{_ENLIST}
local function keep()
  permit({{'SET', KEYS[1], ''}})
  if KEYS[2] then permit_list(KEYS[2]) end
  redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
  if KEYS[2] then enlist(KEYS[2], ARGV[2], ARGV[3]) end
  redis.pcall('PUBLISH', ARGV[4], ARGV[3])
  return 1
end
"""
_USER: Final = f"""
local function user(packed)
  if #packed < {HEADER_SIZE} or string.sub(packed, 1, 4) ~= '{MAGIC.decode()}' then return '' end
  local size = struct.unpack('>I4', packed, {USER_SIZE_AT + 1})
  return string.sub(packed, {HEADER_SIZE + 1}, {HEADER_SIZE} + size)
end
"""
_HOLDS: Final = """
local function holds(key)
  local held = read('GET', key)
  return held and string.match(held, '^(%d+):') == ARGV[1]
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

# A load that puts the session back into its user's list, if the server has evicted that. It writes
# only then, and reads even where it may not write. KEYS: session. ARGV: key, the prefix of lists.
LOAD: Final = f"""{_PERMIT}{_ENLIST}{_USER}
local packed = redis.call('GET', KEYS[1])
local owner = packed and user(packed) or ''
if owner == '' then return packed end
pcall(function()
  local list = ARGV[2] .. redis.sha1hex(owner)
  local expiry = math.floor(struct.unpack('>d', packed, {EXPIRES_AT + 1}) * 1000)
  expiry = string.format('%.0f', expiry)
  if redis.pcall('ZADD', list, 'NX', expiry, ARGV[1]) == 0 then return end
  permit_list(list)
  enlist(list, expiry, ARGV[1])
end)
return packed
"""

# KEYS: session, lease. ARGV: key, channel, the prefix of lists.
DELETE: Final = f"""{_VERSION}{_PERMIT}{_USER}
local found = version(KEYS[1])
local owner = found and user(redis.call('GET', KEYS[1])) or ''
local list = ARGV[3] .. redis.sha1hex(owner)
permit({{'DEL', KEYS[1], KEYS[2]}})
if owner ~= '' then permit({{'ZREM', list, ARGV[1]}}) end
redis.call('DEL', KEYS[1], KEYS[2])
if owner ~= '' then redis.pcall('ZREM', list, ARGV[1]) end
redis.pcall('PUBLISH', ARGV[2], ARGV[1])
return found and 1 or 0
"""

# KEYS: the user's list. ARGV: what the names of sessions begin with.
OF_USER: Final = f"""{_READ}
local found = {{}}
for _, key in ipairs(read('ZRANGE', KEYS[1], 0, -1) or {{}}) do
  local packed = read('GET', ARGV[1] .. key)
  if packed then
    found[#found + 1] = key
    found[#found + 1] = packed
  else
    redis.pcall('ZREM', KEYS[1], key)
  end
end
return found
"""

# KEYS: session, lease, the last fence. ARGV: the taker, milliseconds.
# The fence is written first: a lease that nobody was told of would keep everybody waiting.
ACQUIRE: Final = f"""{_VERSION}
local old = version(KEYS[1])
if not old then return false end
local held = read('GET', KEYS[2])
if held then
  local fence, taker = string.match(held, '^(%d+):(.+)$')
  if fence then return taker == ARGV[1] and fence end
end
local now = redis.call('TIME')
local last = tonumber(read('GET', KEYS[3]) or 0) or 0
if not (last < {ENDED}) then last = 0 end
local fence = math.max(old, last, now[1] * 1000 + math.floor(now[2] / 1000)) + 1
if fence > {ENDED} then return false end
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[3], fence, 'PX', 86400000)
redis.call('SET', KEYS[2], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return fence
"""

# KEYS: session, lease. ARGV: fence, milliseconds.
RENEW: Final = f"""{_VERSION}{_HOLDS}
if version(KEYS[1]) and holds(KEYS[2]) then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 0
"""

# KEYS: lease. ARGV: fence.
RELEASE: Final = f"""{_READ}{_HOLDS}
if holds(KEYS[1]) then redis.call('DEL', KEYS[1]) end
"""
