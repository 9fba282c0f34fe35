-- KEYS record due events broadcast lease taken (changed records)*
-- ARGV revision document keep_ms due_ms|'' name holder|'' n_events (event-id event-bytes n_changes (change)*)*
--      n_changes (change)*
-- -> 1 changed | 0 other revision | FENCED somebody else may have had the lease
local record, due, own, all, lease, taken = key(), key(), key(), key(), key(), key()
local revision, document, keep, at, name, holder = arg(), arg(), arg(), arg(), arg(), arg()
if holder ~= '' and not is_held(lease, taken, holder) then
  return redis.error_reply('FENCED ' .. lease .. ' has another owner')
end
if redis.call('HGET', record, 'r') ~= revision then return 0 end
redis.call('HSET', record, 'r', tonumber(revision) + 1, 'd', document)
redis.call('PEXPIRE', record, keep)
if at == '' then redis.call('ZREM', due, name) else redis.call('ZADD', due, at, name) end
for _ = 1, tonumber(arg()) do append(true, own, all, '') end
changes(true)
return 1
