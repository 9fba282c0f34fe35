-- KEYS (changed records)* ; ARGV n_changes (change)*
changes(true)
return 1
