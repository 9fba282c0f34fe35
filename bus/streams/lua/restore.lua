-- KEYS lane events broadcast, then for each memo: inbox reply (changed records)*
-- ARGV owner epoch remember_s reply_ms n, then for each memo: id reply n_events (event-id event-bytes n_changes (change)*)*
-- Commits again what was committed once and then forgotten. A command that is still known is left alone: it was
-- committed, or it will be delivered again. -> how many were restored; error FENCED if the lane is not ours
local lane, own, all = key(), key(), key()
local owner, epoch, remember, keep = arg(), arg(), arg(), arg()
local l = redis.call('HMGET', lane, 'owner', 'epoch')
if l[1] ~= owner or l[2] ~= epoch then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end
local restored = 0
for _ = 1, tonumber(arg()) do
  local inbox, reply = key(), key()
  local id, answer = arg(), arg()
  local lost = redis.call('HEXISTS', inbox, id) == 0
  if lost then
    restored = restored + 1
    redis.call('HSET', inbox, id, 'c0-0')
    redis.call('EXPIRE', inbox, remember)
    redis.call('SET', reply, answer, 'PX', keep)
  end
  for _ = 1, tonumber(arg()) do append(lost, own, all, epoch) end
end
return restored
