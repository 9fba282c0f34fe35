-- KEYS lane events broadcast, then for each memo: inbox reply (changed records)*
-- ARGV owner epoch remember_s reply_ms n, then for each memo: id reply n_events (event-id event-bytes n_changes (change)*)*
-- Commits what was done once and is not known to be committed, be it forgotten or be it waiting. What waits comes
-- again nevertheless, and finds that it was committed. -> how many were; error FENCED if the lane is not ours
local lane, own, all = key(), key(), key()
local owner, epoch, remember, keep = arg(), arg(), arg(), arg()
local l = redis.call('HMGET', lane, 'owner', 'epoch')
if l[1] ~= owner or l[2] ~= epoch then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end
local restored = 0
for _ = 1, tonumber(arg()) do
  local inbox, reply = key(), key()
  local id, answer = arg(), arg()
  local seen = redis.call('HGET', inbox, id)
  local lost = not seen or string.sub(seen, 1, 1) ~= 'c'
  if lost then
    restored = restored + 1
    if seen then redis.call('HINCRBY', lane, 'ack', 1) end
    redis.call('HSET', inbox, id, 'c0-0')
    redis.call('EXPIRE', inbox, remember)
    redis.call('SET', reply, answer, 'PX', keep)
  end
  for _ = 1, tonumber(arg()) do append(lost, own, all, epoch) end
end
return restored
