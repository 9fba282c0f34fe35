-- Shared by all scripts. `a` and `k` walk ARGV and KEYS.
local a, k = 0, 0
local function arg() a = a + 1; return ARGV[a] end
local function key() k = k + 1; return KEYS[k] end

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whether stream entry x is later than y.
local function after(x, y)
  local x1, x2 = string.match(x, '(%d+)%-?(%d*)')
  local y1, y2 = string.match(y, '(%d+)%-?(%d*)')
  x1, y1 = tonumber(x1), tonumber(y1)
  if x1 ~= y1 then return x1 > y1 end
  return (tonumber(x2) or 0) > (tonumber(y2) or 0)
end

-- Whether a lease is still its holder's. It may have run out, where nobody else has had it since.
local function is_held(lease, taken, holder)
  return (redis.call('GET', lease) or redis.call('GET', taken)) == holder
end

-- What was counted of a folder since then: bytes and files that were added, and how often it changed otherwise.
local function recount(name, counted, bytes, files, changed, made, again)
  local l = redis.call('HMGET', name, 'added_bytes', 'added_files', 'changes', 'made')
  if redis.call('EXISTS', name) == 0 or (l[3] or '0') ~= changed or (l[4] or '') ~= made then return end
  local more_bytes, more_files = tonumber(l[1] or 0) - bytes, tonumber(l[2] or 0) - files
  redis.call('HSET', name, 'again', (more_bytes ~= 0 or more_files ~= 0) and again or '', unpack(counted))
  redis.call('HINCRBY', name, 'file_bytes', more_bytes)
  redis.call('HINCRBY', name, 'files', more_files)
end

-- One catalogue change: P put, D default, B bump, C recount, R remove, I index, U unindex. With live == false it is
-- only walked over.
local function change(live)
  local op, name = arg(), key()
  if op == 'R' then
    if live then redis.call('DEL', name) end
  elseif op == 'I' or op == 'U' then
    local member = arg()
    if not live then return end
    if op == 'I' then redis.call('ZADD', name, 0, member) else redis.call('ZREM', name, member) end
  else
    local pairs_ = {}
    for i = 1, tonumber(arg()) * 2 do pairs_[i] = arg() end
    if op == 'C' then
      local bytes, files, changed, made, again = arg(), arg(), arg(), arg(), arg()
      if live then recount(name, pairs_, bytes, files, changed, made, again) end
      return
    end
    if not live then return end
    if op == 'P' then redis.call('HSET', name, unpack(pairs_)); return end
    if op == 'B' and redis.call('EXISTS', name) == 0 then return end
    local command = op == 'B' and 'HINCRBY' or 'HSETNX'
    for i = 1, #pairs_, 2 do redis.call(command, name, pairs_[i], pairs_[i + 1]) end
  end
end

local function changes(live)
  for _ = 1, tonumber(arg()) do change(live) end
end

-- One event with its changes, onto the volume's own stream and the broadcast.
local function append(live, own, all, epoch)
  local id, bytes = arg(), arg()
  if live then
    redis.call('XADD', own, '*', 'i', id, 'm', bytes, 'e', epoch)
    redis.call('XADD', all, '*', 'i', id, 'm', bytes, 'e', epoch)
  end
  changes(live)
end

-- Ids of the events that were appended to a stream since then, in milliseconds.
local function ids_since(stream, since)
  local ids, first = {}, since
  while true do
    local found = redis.call('XRANGE', stream, first, '+', 'COUNT', 1000)
    if #found == 0 then return ids end
    for _, entry in ipairs(found) do ids[entry[2][2]] = true end
    first = '(' .. found[#found][1]
  end
end

-- The floor, or less where a consumer group of the stream has not dealt with what is above less.
local function groups_floor(stream, floor)
  if redis.call('EXISTS', stream) == 0 then return floor end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
    local least = group['last-delivered-id']
    local pending = redis.call('XPENDING', stream, group['name'])
    if pending[2] and after(least, pending[2]) then least = pending[2] end
    if after(floor, least) then floor = least end
  end
  return floor
end
