-- KEYS record (changed records)* ; ARGV n_changes (change)* -> 1 applied | 0 there is such a record
if redis.call('EXISTS', key()) == 1 then return 0 end
changes(true)
return 1
