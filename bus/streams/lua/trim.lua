-- KEYS commands lane events dead-letters quarantine ; ARGV keep_commands_ms keep_events_ms keep_dead_ms
-- -> {commands removed, events removed, dead letters removed}
local now = now_ms()
local floor = string.format('%d-0', now - tonumber(ARGV[1]))
local cursor = redis.call('HGET', KEYS[2], 'cursor') or '0-0'
-- What is not committed stays, however old it is.
if after(floor, cursor) then floor = cursor end
return {
  redis.call('XTRIM', KEYS[1], 'MINID', '=', floor),
  redis.call('XTRIM', KEYS[3], 'MINID', '=', string.format('%d-0', now - tonumber(ARGV[2]))),
  -- While a key waits behind its dead letter none goes, or nothing would set the key free again.
  redis.call('EXISTS', KEYS[5]) == 0
    and redis.call('XTRIM', KEYS[4], 'MINID', '=', string.format('%d-0', now - tonumber(ARGV[3]))) or 0
}
