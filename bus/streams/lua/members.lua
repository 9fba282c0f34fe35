-- KEYS members node-hash ; ARGV node ttl_ms doorbell volumes|''
-- Heartbeat (if volumes are given) and view in one step -> {node volumes node volumes ...}
local now = now_ms()
local ttl = tonumber(ARGV[2])
if ARGV[4] ~= '' then
  local came = redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('HSET', KEYS[2], 'volumes', ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ttl * 10)
  if came == 1 then redis.call('PUBLISH', ARGV[3], 'member') end
end
if redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ttl)) > 0 then
  redis.call('PUBLISH', ARGV[3], 'member')
end
local view = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  view[#view + 1] = name
  view[#view + 1] = redis.call('HGET', 'bus:node:' .. name, 'volumes') or ''
end
return view
