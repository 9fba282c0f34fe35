-- KEYS lease taken ; ARGV holder(node/random@ttl_ms) ttl_ms known_ms again('1': it was taken before)
-- -> '' it is the holder's, the present holder, or '-': somebody else may have had it since
local lease, taken = key(), key()
local holder, ttl, known, again = arg(), arg(), arg(), arg()
local present = redis.call('GET', lease)
if present and present ~= holder then
  -- Where the clock was set back, whoever is alive renews within the time of its lease.
  local longest = tonumber(string.match(present, '@(%d+)$') or '')
  if longest and redis.call('PTTL', lease) > longest then redis.call('PEXPIRE', lease, longest) end
  return present
end
if again == '1' and not is_held(lease, taken, holder) then return '-' end
redis.call('SET', lease, holder, 'PX', ttl)
if redis.call('GET', taken) ~= holder or redis.call('PTTL', taken) < known / 2 then
  redis.call('SET', taken, holder, 'PX', known)
end
return ''
