-- KEYS lane ; ARGV owner epoch ttl_ms known -> {1, redis_ms}; {0}: the lane is not ours; {-1}: a commit that was
-- answered, of which `known` is the last one's number, is unknown to this Redis
local l = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'commits')
if l[1] ~= ARGV[1] or l[2] ~= ARGV[2] then return {0} end
if tonumber(l[3] or 0) < tonumber(ARGV[4]) then return {-1} end
local now = now_ms()
redis.call('HSET', KEYS[1], 'exp', now + tonumber(ARGV[3]), 'ttl', ARGV[3])
return {1, now}
