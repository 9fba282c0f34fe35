-- KEYS lease ; ARGV holder(node/random@ttl_ms) ttl_ms -> '' taken, or the present holder
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  -- Where the clock was set back, whoever is alive renews within the time of its lease.
  local longest = tonumber(string.match(holder, '@(%d+)$') or '')
  if longest and redis.call('PTTL', KEYS[1]) > longest then redis.call('PEXPIRE', KEYS[1], longest) end
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
