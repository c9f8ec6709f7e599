-- free: go on with what one step could not reach: dependants of jobs that ended with very many, jobs that wait for a whole group
-- from: deferred
-- to: queued scheduled canceled gone
-- keys: freeing watched
-- args: limit:int pause:int
-- says: ok
-- cost: O(limit); groups that were looked through less than `pause` ms ago are left alone, of the others up to 10 with 100 members each
-- writes below
local notes = redis.call('HSCAN', k_freeing, 0, 'COUNT', a_limit)[2]
local freed, left = 0, a_limit
for i = 1, #notes, 2 do
  if left <= 0 then break end
  local count = go_on(notes[i], notes[i + 1], left, NOW)
  freed = freed + count
  left = left - math.max(count, 1)
end
-- RQ's workers end members without telling, and members expire.
local groups = redis.call('ZRANGEBYSCORE', k_watched, '-inf', seconds(NOW - a_pause), 'LIMIT', 0, 10)
for _, group in ipairs(groups) do
  redis.call('ZADD', k_watched, seconds(NOW), group)
  look_through(group, 100, NOW)
end
return { 'ok', freed, (#groups == 10 or redis.call('EXISTS', k_freeing) == 1) and 1 or 0 }
