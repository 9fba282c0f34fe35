-- KEYS lane commands ; ARGV owner ttl_ms min_epoch
-- -> {1, epoch, cursor, high, redis_ms, crash, suspect, until when the last owner may have begun anything} or {0, holder, ms left}
local now = now_ms()
local l = redis.call('HMGET', KEYS[1], 'owner', 'exp', 'epoch', 'cursor', 'high', 'crash', 'suspect', 'ttl')
local held = l[1] and l[1] ~= ''
if held and l[1] ~= ARGV[1] and (tonumber(l[2]) or 0) > now then
  local left, longest = tonumber(l[2]) - now, tonumber(l[8] or ARGV[2])
  if left > longest then
    -- The clock was set back. Whoever is alive renews within the time of its lease.
    left = longest
    redis.call('HSET', KEYS[1], 'exp', now + left)
  end
  return {0, l[1], left}
end
local epoch = math.max(tonumber(l[3]) or 0, tonumber(ARGV[3])) + 1
local crash = tonumber(l[6]) or 0
local high = l[5]
if not high then
  -- The lane is new, or was lost: then what is on its stream may have been committed, all of it.
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  high = last and last[1] or '0-0'
end
-- A predecessor that did not release died.
if held then crash = crash + 1 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', epoch, 'exp', now + tonumber(ARGV[2]), 'ttl', ARGV[2], 'crash', crash, 'commits', 0)
return {1, epoch, l[4] or '0-0', high, now, crash, l[7] or '', tonumber(l[2]) or 0}
