-- KEYS outbox events broadcast, then for each event: [record] (changed records)*
-- ARGV part start end since_ms old(0|1) n, then for each: again(0|1) makes(0|1) [document keep_ms] event-id event-bytes
--      n_changes (change)*
-- -> where the part is after that; nothing is done if it was not at its start. Where all positions are forgotten, an
--    event may have been written twice, or a part has none whose events are old, so that a backup may have brought it
--    back, only what was not appended since `since` is appended. Any other part without a position is new: positions
--    and events come and go together.
local outbox, own, all = key(), key(), key()
local part, start, finish, since, old = arg(), arg(), arg(), arg(), arg()
local at = redis.call('HGET', outbox, part)
if (at or '0') ~= start then return at or '0' end
local forgotten = not at and (old == '1' or redis.call('EXISTS', outbox) == 0)

local seen = nil
local function is_there(id)
  seen = seen or ids_since(own, since)
  return seen[id]
end

for _ = 1, tonumber(arg()) do
  local again, makes = arg(), arg()
  local record, document, keep
  if makes == '1' then record, document, keep = key(), arg(), arg() end
  local live = not ((again == '1' or forgotten) and is_there(ARGV[a + 1]))
  if live and record and redis.call('EXISTS', record) == 0 then
    redis.call('HSET', record, 'r', 1, 'd', document)
    redis.call('PEXPIRE', record, keep)
  end
  append(live, own, all, '')
end
redis.call('HSET', outbox, part, finish)
return finish
