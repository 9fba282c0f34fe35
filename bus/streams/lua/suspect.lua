-- KEYS lane ; ARGV owner epoch suspects|'' -> 1 ; error FENCED if the lane is not ours
-- Leaves word of what runs now: whoever finds it after a crash knows what may have caused it. Empty: all is well.
local l = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if l[1] ~= ARGV[1] or l[2] ~= ARGV[2] then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end
redis.call('HSET', KEYS[1], 'suspect', ARGV[3])
if ARGV[3] == '' then redis.call('HSET', KEYS[1], 'crash', 0) end
return 1
