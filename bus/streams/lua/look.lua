-- KEYS broadcast trimmed generation ; ARGV position|'' generation|'' new-generation id(of the event read there)|''
-- Whether a reader at a position has missed something that is gone. -> {1 gap | 0, position, generation}
-- The generation dies with the data, so a reader learns that everything was lost.
redis.call('SETNX', KEYS[3], ARGV[3])
local generation = redis.call('GET', KEYS[3])
local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local position = ARGV[1]
if position == '' then return {0, last, generation} end
if ARGV[2] ~= '' and ARGV[2] ~= generation then return {1, '0-0', generation} end
-- A primary that lost its last moments goes on from an earlier id.
if after(position, last) then return {1, last, generation} end
local trimmed = redis.call('GET', KEYS[2]) or '0-0'
if after(trimmed, position) then return {1, trimmed, generation} end
-- A replica that was made primary goes on from what it had, and may have other events in the place of the last ones.
if ARGV[4] ~= '' and after(position, trimmed) then
  local found = redis.call('XRANGE', KEYS[1], position, position)[1]
  if not found or found[2][2] ~= ARGV[4] then return {1, position, generation} end
end
return {0, position, generation}
