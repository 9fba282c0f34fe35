-- KEYS events broadcast (changed records)* ; ARGV event-id event-bytes n_changes (change)* -> redis_ms
local own, all = key(), key()
append(true, own, all, '')
return now_ms()
