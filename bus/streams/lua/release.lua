-- KEYS lane ; ARGV owner epoch doorbell -> 1 released | 0 not ours
local l = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if l[1] ~= ARGV[1] or l[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'owner', '', 'exp', now_ms(), 'crash', 0, 'suspect', '')
redis.call('PUBLISH', ARGV[3], 'lane')
return 1
