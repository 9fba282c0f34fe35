-- KEYS outbox events broadcast, then for each event: [record due] (changed records)*
-- ARGV part start end since_ms old(0|1) n, then for each:
--      again(0|1) tells(0|1) [document keep_ms revision name] event-id event-bytes n_changes (change)*
--      [n_changes (change)*]
-- -> where the part is after that; nothing is done if it was not at its start. Where all positions are forgotten, an
--    event may have been written twice, or a part has none whose events are old, so that a backup may have brought it
--    back, only what was not appended since `since` is appended. Any other part without a position is new: positions
--    and events come and go together. A record becomes what is told; if it is at another revision (none: 0), somebody
--    else may have told the same.
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

local function tell(record, due, document, keep, present, name)
  redis.call('HSET', record, 'r', tonumber(present) + 1, 'd', document)
  redis.call('PEXPIRE', record, keep)
  redis.call('ZREM', due, name)
end

for _ = 1, tonumber(arg()) do
  local again, tells = arg() == '1', arg() == '1'
  local record, due, document, keep, revision, name, present
  if tells then
    record, due = key(), key()
    document, keep, revision, name = arg(), arg(), arg(), arg()
    present = redis.call('HGET', record, 'r') or '0'
    again = again or present ~= revision
  end
  local id = ARGV[a + 1]
  local live = not ((again or forgotten) and is_there(id))
  if live and tells then tell(record, due, document, keep, present, name) end
  append(live, own, all, '')
  if live and seen then seen[id] = true end
  if tells then changes(live) end
end
redis.call('HSET', outbox, part, finish)
return finish
