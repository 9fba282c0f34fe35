-- KEYS broadcast readers seen expired trimmed ; ARGV keep_ms reader_keep_ms
-- -> {removed, who holds the floor or '', expired reader...}
local now = now_ms()
local floor, holder = string.format('%d-0', now - tonumber(ARGV[1])), ''
local answer = {0, ''}
local readers = redis.call('HGETALL', KEYS[2])
for i = 1, #readers, 2 do
  local name, position = readers[i], readers[i + 1]
  local seen = tonumber(redis.call('ZSCORE', KEYS[3], name) or now)
  if now - seen > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
    -- Should it come back after all, it is told what it missed.
    redis.call('HSET', KEYS[4], name, position)
    answer[#answer + 1] = name
  elseif after(floor, position) then
    floor, holder = position, name
  end
end
local grouped = groups_floor(KEYS[1], floor)
if grouped ~= floor then floor, holder = grouped, 'a consumer group' end
local last = redis.call('XREVRANGE', KEYS[1], '(' .. floor, '-', 'COUNT', 1)
if #last > 0 then redis.call('SET', KEYS[5], last[1][1]) end
answer[1] = redis.call('XTRIM', KEYS[1], 'MINID', '=', floor)
answer[2] = holder
return answer
