-- KEYS lane commands events broadcast dead-letters quarantine parked,
--      then for each outcome: inbox reply (changed records)*; then for each passed one: inbox
-- ARGV owner epoch known number cursor remember_s reply_ms n, then for each outcome:
--      entry id verdict(D done, X dead, Q dead and its key with it, P parked) key
--      reply channel reason attempts original-bytes n_events (event-id event-bytes n_changes (change)*)*
--      and then: n_passed (entry id)*, what was committed before and the cursor passes now
-- `number` is which of its owner's commits this is, `known` the last one that was answered.
-- -> newly committed; error FENCED if the lane is not ours, or an entry or a commit is unknown to this Redis: a
--    replica that was made primary has never had the last ones, and may have others in their place
local lane, commands, own, all, dead, quarantine, parked = key(), key(), key(), key(), key(), key(), key()
local owner, epoch, known, number = arg(), arg(), arg(), arg()
local cursor, remember, keep = arg(), arg(), arg()
local l = redis.call('HMGET', lane, 'owner', 'epoch', 'cursor', 'high', 'suspect', 'commits')
if l[1] ~= owner or l[2] ~= epoch then return redis.error_reply('FENCED lane is at epoch ' .. tostring(l[2])) end
-- What was answered and is forgotten has to be told again before anything that came after it.
if tonumber(l[6] or 0) < tonumber(known) then return redis.error_reply('FENCED commit ' .. known .. ' is not known here') end

-- Whether an entry of this id is on the stream. One that nobody here wrote has no id of its own.
local function is_there(entry, id)
  local found = redis.call('XRANGE', commands, entry, entry)[1]
  return found ~= nil and (found[2][1] ~= 'i' or found[2][2] == id)
end

local passed, high, done, strange = l[3] or '0-0', l[4] or '0-0', 0, nil
for _ = 1, tonumber(arg()) do
  local inbox, reply = key(), key()
  local entry, id, verdict, subject = arg(), arg(), arg(), arg()
  local answer, channel, reason, attempts, original = arg(), arg(), arg(), arg(), arg()
  local seen = redis.call('HGET', inbox, id)
  -- The first commit of an id wins; a repetition of this very call finds its own mark and changes nothing.
  local open = after(entry, passed)
  local fresh = open and not (seen and string.sub(seen, 1, 1) == 'c')
  if open and seen ~= 'q' .. entry and not is_there(entry, id) then
    strange, fresh, verdict = entry, false, 'S'
  end
  if fresh and verdict == 'P' then
    -- It stays accepted and counted as waiting; only its place is another. The mark tells a repetition of this call.
    if seen ~= 'p' .. entry then
      if redis.call('HEXISTS', quarantine, subject) == 1 then
        redis.call('XADD', parked, '*', 'i', id, 'm', original, 'k', subject)
      else
        -- What it waited for was dealt with a moment ago: it goes where the others went that waited for that.
        redis.call('XADD', commands, '*', 'i', id, 'm', original, 'n', 0)
      end
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
  local given = verdict ~= 'P' and verdict ~= 'S' and (fresh and answer or redis.call('GET', reply))
  if channel ~= '' and given then redis.call('PUBLISH', channel, 'r' .. given) end
end
-- Whether the mark of an entry would still be kept; beyond that its absence says nothing.
local function is_young(entry)
  return tonumber(string.match(entry, '^%d+')) > now_ms() - 900 * tonumber(remember)
end

for _ = 1, tonumber(arg()) do
  local entry, id = arg(), arg()
  local seen = redis.call('HGET', key(), id)
  if seen == 'q' .. entry or (not seen and is_young(entry)) then strange = entry end
end
if after(cursor, passed) and not strange then passed = cursor end
if after(passed, high) then high = passed end
redis.call('HSET', lane, 'cursor', passed, 'high', high, 'commits', number)
-- While an owner leaves word of what it runs, one that ended well proves nothing about the others; what was only
-- parked proves nothing at all.
if done > 0 and (not l[5] or l[5] == '') then redis.call('HSET', lane, 'crash', 0) end
redis.call('HINCRBY', lane, 'ack', done)
if strange then return redis.error_reply('FENCED entry ' .. strange .. ' is none of this lane, or was not committed here') end
return done
