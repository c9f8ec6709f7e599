-- free: go on with the dependants of jobs that ended with more of them than one step may free
-- from: deferred
-- to: queued scheduled canceled
-- keys: freeing
-- args: limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local notes = redis.call('HSCAN', k_freeing, 0, 'COUNT', a_limit)[2]
local freed, left = 0, a_limit
for i = 1, #notes, 2 do
  if left <= 0 then break end
  local count = free_dependants(notes[i], notes[i + 1], left, NOW)
  freed = freed + count
  left = left - math.max(count, 1)
end
return { 'ok', freed, redis.call('EXISTS', k_freeing) }
