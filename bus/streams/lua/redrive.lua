-- KEYS dead-letters commands lane inbox reply quarantine parked
-- ARGV dead-letter id payload|'' key remember_s
-- Takes a dead letter off, puts it (unless the payload is empty) and what was parked behind it back into the queue.
-- -> {1, how many were parked behind it}, {0, 0} if there is no such dead letter
local dead, commands, lane, inbox, reply, quarantine, parked = key(), key(), key(), key(), key(), key(), key()
local letter, id, payload, subject, remember = arg(), arg(), arg(), arg(), arg()
if redis.call('XDEL', dead, letter) == 0 then return {0, 0} end
if payload ~= '' then
  local seq = redis.call('HINCRBY', lane, 'enq', 1)
  local entry = redis.call('XADD', commands, '*', 'i', id, 'm', payload, 'n', seq)
  redis.call('HSET', inbox, id, 'q' .. entry)
  redis.call('EXPIRE', inbox, remember)
  redis.call('DEL', reply)
end
local moved = 0
if redis.call('HGET', quarantine, subject) == letter then
  redis.call('HDEL', quarantine, subject)
  for _, waiting in ipairs(redis.call('XRANGE', parked, '-', '+')) do
    local fields = {}
    for i = 1, #waiting[2], 2 do fields[waiting[2][i]] = waiting[2][i + 1] end
    if fields.k == subject then
      redis.call('XADD', commands, '*', 'i', fields.i, 'm', fields.m, 'n', fields.n or 0)
      redis.call('XDEL', parked, waiting[1])
      moved = moved + 1
    end
  end
end
return {1, moved}
