-- KEYS commands lane events dead-letters quarantine readers readers-seen parked
-- ARGV keep_commands_ms keep_events_ms keep_dead_ms reader_keep_ms -> {commands removed, events removed, dead letters removed}
local now = now_ms()
local function age(index) return string.format('%d-0', now - tonumber(ARGV[index])) end
local floor = age(1)
local cursor = redis.call('HGET', KEYS[2], 'cursor') or '0-0'
-- What is not committed stays, however old it is; so does what a registered reader or a group has not seen.
if after(floor, cursor) then floor = cursor end
local readers = redis.call('HGETALL', KEYS[6])
for i = 1, #readers, 2 do
  local seen = tonumber(redis.call('ZSCORE', KEYS[7], readers[i]) or now)
  if now - seen <= tonumber(ARGV[4]) and after(floor, readers[i + 1]) then floor = readers[i + 1] end
end
-- Where nothing is left to be done nothing waits, whatever was lost of the counts.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not (last and after(last[1], cursor)) and redis.call('XLEN', KEYS[8]) == 0 then
  local counts = redis.call('HMGET', KEYS[2], 'enq', 'ack')
  if counts[1] ~= counts[2] then redis.call('HSET', KEYS[2], 'ack', counts[1] or 0) end
end
return {
  redis.call('XTRIM', KEYS[1], 'MINID', '=', groups_floor(KEYS[1], floor)),
  redis.call('XTRIM', KEYS[3], 'MINID', '=', groups_floor(KEYS[3], age(2))),
  -- While a key waits behind its dead letter none goes, or nothing would set the key free again.
  redis.call('EXISTS', KEYS[5]) == 0 and redis.call('XTRIM', KEYS[4], 'MINID', '=', age(3)) or 0
}
