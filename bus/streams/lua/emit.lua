-- KEYS events broadcast (changed records)* ; ARGV since_ms|'' event-id event-bytes n_changes (change)* -> redis_ms
-- since: this is said again, because it is not known whether it was appended; it was not before then.
local own, all, since = key(), key(), arg()
append(since == '' or not ids_since(own, since)[ARGV[a + 1]], own, all, '')
return now_ms()
