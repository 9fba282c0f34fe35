-- KEYS record due (changed records)* ; ARGV name n_changes (change)*
redis.call('DEL', key())
redis.call('ZREM', key(), arg())
changes(true)
return 1
