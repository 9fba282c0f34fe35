-- KEYS commands lane inbox dead-letters ; ARGV id payload limit remember_s dead-limit
-- -> {1 accepted | 0 seen before | -1 full | -2 too many dead letters, entry, redis_ms, committed}
local seen = redis.call('HGET', KEYS[3], ARGV[1])
local now = now_ms()
if seen then
  -- WAIT counts only writes of its own connection: a repeated enqueue must write, or its WAIT says nothing.
  redis.call('HINCRBY', KEYS[2], 'dupes', 1)
  return {0, string.sub(seen, 2), now, string.sub(seen, 1, 1) == 'c' and 1 or 0}
end
local count = redis.call('HMGET', KEYS[2], 'enq', 'ack')
if (tonumber(count[1]) or 0) - (tonumber(count[2]) or 0) >= tonumber(ARGV[3]) then return {-1, '', now, 0} end
if redis.call('XLEN', KEYS[4]) >= tonumber(ARGV[5]) then return {-2, '', now, 0} end
local seq = redis.call('HINCRBY', KEYS[2], 'enq', 1)
local entry = redis.call('XADD', KEYS[1], '*', 'i', ARGV[1], 'm', ARGV[2], 'n', seq)
redis.call('HSET', KEYS[3], ARGV[1], 'q' .. entry)
redis.call('EXPIRE', KEYS[3], ARGV[4])
return {1, entry, now, 0}
