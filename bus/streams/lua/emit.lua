-- KEYS events broadcast (changed records)* ; ARGV since_ms|'' event-id event-bytes n_changes (change)* -> redis_ms
-- since: this is said again, because it is not known whether it was appended; it was not before then.
local own, all, since = key(), key(), arg()

local function is_there(id)
  local last = '+'
  while true do
    local found = redis.call('XREVRANGE', own, last, since, 'COUNT', 1000)
    if #found == 0 then return false end
    for _, entry in ipairs(found) do
      if entry[2][2] == id then return true end
    end
    last = '(' .. found[#found][1]
  end
end

append(since == '' or not is_there(ARGV[a + 1]), own, all, '')
return now_ms()
