-- KEYS record due (changed records)* ; ARGV document keep_ms due_ms|'' name n_changes (change)* -> 1 made | 0 was there
local record, due = key(), key()
local document, keep, at, name = arg(), arg(), arg(), arg()
if redis.call('EXISTS', record) == 1 then return 0 end
redis.call('HSET', record, 'r', 1, 'd', document)
redis.call('PEXPIRE', record, keep)
if at ~= '' then redis.call('ZADD', due, at, name) end
changes(true)
return 1
