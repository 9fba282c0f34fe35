-- KEYS lane events broadcast dead-letters, then for each outcome: inbox reply (changed records)*
-- ARGV owner epoch cursor remember_s reply_ms n, then for each outcome:
--      entry id reply channel dead-reason original-bytes n_events (event-id event-bytes n_changes (change)*)*
-- -> newly committed; error FENCED if the lane is not ours
local lane, own, all, dead = key(), key(), key(), key()
local owner, epoch, cursor, remember, keep = arg(), arg(), arg(), arg(), arg()
local l = redis.call('HMGET', lane, 'owner', 'epoch', 'cursor', 'high')
if l[1] ~= owner or l[2] ~= epoch then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end

local passed, high, done = l[3] or '0-0', l[4] or '0-0', 0
for _ = 1, tonumber(arg()) do
  local inbox, reply = key(), key()
  local entry, id, answer, channel, reason, original = arg(), arg(), arg(), arg(), arg(), arg()
  local seen = redis.call('HGET', inbox, id)
  -- The first commit of an id wins; a repetition of this very call finds its own mark and changes nothing.
  local fresh = after(entry, passed) and not (seen and string.sub(seen, 1, 1) == 'c')
  if fresh then
    done = done + 1
    redis.call('HSET', inbox, id, 'c' .. entry)
    redis.call('EXPIRE', inbox, remember)
    redis.call('SET', reply, answer, 'PX', keep)
    if reason ~= '' then redis.call('XADD', dead, '*', 'i', id, 'm', original, 'src', entry, 'why', reason, 'e', epoch) end
    if after(entry, high) then high = entry end
  end
  for _ = 1, tonumber(arg()) do append(fresh, own, all, epoch) end
  -- Whoever waits hears the reply that was given first, never a later one.
  local given = fresh and answer or redis.call('GET', reply)
  if channel ~= '' and given then redis.call('PUBLISH', channel, 'r' .. given) end
end
if after(cursor, passed) then passed = cursor end
if after(passed, high) then high = passed end
redis.call('HSET', lane, 'cursor', passed, 'high', high, 'crash', 0, 'suspect', '')
redis.call('HINCRBY', lane, 'ack', done)
return done
