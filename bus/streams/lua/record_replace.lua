-- KEYS record due events broadcast (changed records)*
-- ARGV revision document keep_ms due_ms|'' name n_events (event-id event-bytes n_changes (change)*)*
--      n_changes (change)*
-- -> 1 changed | 0 other revision
local record, due, own, all = key(), key(), key(), key()
local revision, document, keep, at, name = arg(), arg(), arg(), arg(), arg()
if redis.call('HGET', record, 'r') ~= revision then return 0 end
redis.call('HSET', record, 'r', tonumber(revision) + 1, 'd', document)
redis.call('PEXPIRE', record, keep)
if at == '' then redis.call('ZREM', due, name) else redis.call('ZADD', due, at, name) end
for _ = 1, tonumber(arg()) do append(true, own, all, '') end
changes(true)
return 1
