-- KEYS lane ; ARGV owner ttl_ms min_epoch
-- -> {1, epoch, cursor, high, redis_ms, crash, suspect} or {0, holder, ms left}
local now = now_ms()
local l = redis.call('HMGET', KEYS[1], 'owner', 'exp', 'epoch', 'cursor', 'high', 'crash', 'suspect')
local held = l[1] and l[1] ~= ''
if held and l[1] ~= ARGV[1] and (tonumber(l[2]) or 0) > now then return {0, l[1], tonumber(l[2]) - now} end
local epoch = math.max(tonumber(l[3]) or 0, tonumber(ARGV[3])) + 1
local crash = tonumber(l[6]) or 0
-- A predecessor that did not release died.
if held then crash = crash + 1 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', epoch, 'exp', now + tonumber(ARGV[2]), 'crash', crash)
return {1, epoch, l[4] or '0-0', l[5] or '0-0', now, crash, l[7] or ''}
