-- KEYS lane events broadcast dead-letters quarantine parked, then for each outcome: inbox reply (changed records)*
-- ARGV owner epoch cursor remember_s reply_ms n, then for each outcome:
--      entry id verdict(D done, X dead, Q dead and its key with it, P parked) key
--      reply channel reason attempts original-bytes n_events (event-id event-bytes n_changes (change)*)*
-- -> newly committed; error FENCED if the lane is not ours
local lane, own, all, dead, quarantine, parked = key(), key(), key(), key(), key(), key()
local owner, epoch, cursor, remember, keep = arg(), arg(), arg(), arg(), arg()
local l = redis.call('HMGET', lane, 'owner', 'epoch', 'cursor', 'high', 'suspect')
if l[1] ~= owner or l[2] ~= epoch then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end

local passed, high, done = l[3] or '0-0', l[4] or '0-0', 0
for _ = 1, tonumber(arg()) do
  local inbox, reply = key(), key()
  local entry, id, verdict, subject = arg(), arg(), arg(), arg()
  local answer, channel, reason, attempts, original = arg(), arg(), arg(), arg(), arg()
  local seen = redis.call('HGET', inbox, id)
  -- The first commit of an id wins; a repetition of this very call finds its own mark and changes nothing.
  local fresh = after(entry, passed) and not (seen and string.sub(seen, 1, 1) == 'c')
  if fresh and verdict == 'P' then
    -- It stays accepted and counted as waiting; only its place is another. The mark tells a repetition of this call.
    if seen ~= 'p' .. entry then
      redis.call('XADD', parked, '*', 'i', id, 'm', original, 'k', subject)
      redis.call('HSET', inbox, id, 'p' .. entry)
      redis.call('EXPIRE', inbox, remember)
    end
    fresh = false
    if after(entry, high) then high = entry end
  elseif fresh then
    done = done + 1
    redis.call('HSET', inbox, id, 'c' .. entry)
    redis.call('EXPIRE', inbox, remember)
    redis.call('SET', reply, answer, 'PX', keep)
    if verdict ~= 'D' then
      local letter = redis.call('XADD', dead, '*', 'i', id, 'm', original, 'src', entry, 'why', reason, 'e', epoch, 'try', attempts)
      if verdict == 'Q' then redis.call('HSETNX', quarantine, subject, letter) end
    end
    if after(entry, high) then high = entry end
  end
  for _ = 1, tonumber(arg()) do append(fresh, own, all, epoch) end
  -- Whoever waits hears the reply that was given first, never a later one.
  local given = verdict ~= 'P' and (fresh and answer or redis.call('GET', reply))
  if channel ~= '' and given then redis.call('PUBLISH', channel, 'r' .. given) end
end
if after(cursor, passed) then passed = cursor end
if after(passed, high) then high = passed end
redis.call('HSET', lane, 'cursor', passed, 'high', high)
-- While an owner leaves word of what it runs, one that ended well proves nothing about the others; what was only
-- parked proves nothing at all.
if done > 0 and (not l[5] or l[5] == '') then redis.call('HSET', lane, 'crash', 0) end
redis.call('HINCRBY', lane, 'ack', done)
return done
