-- KEYS members node-hash ; ARGV node ttl_ms doorbell told|''
-- Heartbeat (if something is told of this member) and view in one step -> {node told node told ...}
local now = now_ms()
local ttl = tonumber(ARGV[2])
if ARGV[4] ~= '' then
  local came = redis.call('ZADD', KEYS[1], now, ARGV[1])
  local news = redis.call('HGET', KEYS[2], 'told') ~= ARGV[4]
  if news then redis.call('HSET', KEYS[2], 'told', ARGV[4]) end
  redis.call('PEXPIRE', KEYS[2], ttl * 10)
  if came == 1 or news then redis.call('PUBLISH', ARGV[3], 'member') end
end
-- Where the clock was set back, who was seen later than now counts as seen now.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  redis.call('ZADD', KEYS[1], now, name)
end
if redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ttl)) > 0 then
  redis.call('PUBLISH', ARGV[3], 'member')
end
local view = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  view[#view + 1] = name
  view[#view + 1] = redis.call('HGET', 'bus:node:' .. name, 'told') or ''
end
return view
