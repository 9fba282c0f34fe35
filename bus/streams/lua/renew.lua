-- KEYS lane ; ARGV owner epoch ttl_ms -> {1, cursor, redis_ms} or {0}
local l = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'cursor')
if l[1] ~= ARGV[1] or l[2] ~= ARGV[2] then return {0} end
local now = now_ms()
redis.call('HSET', KEYS[1], 'exp', now + tonumber(ARGV[3]), 'ttl', ARGV[3])
return {1, l[3] or '0-0', now}
