-- free: go on with what one step could not reach: dependants of jobs that ended with very many, jobs that wait for a whole group
-- from: deferred
-- to: queued scheduled canceled gone
-- keys: freeing watched
-- args: limit:int pause:int
-- says: ok
-- cost: O(limit); groups that were looked through less than `pause` ms ago and had nothing to see are left alone, of the others up to 10 with 100 members each
-- writes below
local notes = redis.call('HSCAN', k_freeing, 0, 'COUNT', a_limit)[2]
local freed, left = 0, a_limit
for i = 1, #notes, 2 do
  if left <= 0 then break end
  local count = go_on(notes[i], notes[i + 1], left, NOW)
  freed = freed + count
  left = left - math.max(count, 1)
end
-- RQ's workers end members without telling, and members expire. Where some did, there may be more of them on the next page.
local more = 0
local groups = redis.call('ZRANGEBYSCORE', k_watched, '-inf', seconds(NOW - a_pause), 'LIMIT', 0, 10)
for _, group in ipairs(groups) do
  redis.call('ZADD', k_watched, seconds(NOW), group)
  local _, seen = look_through(group, 100, NOW)
  if seen > 0 and redis.call('ZSCORE', k_watched, group) then
    redis.call('ZADD', k_watched, seconds(NOW - a_pause), group)
    more = 1
  end
end
if #groups == 10 or redis.call('EXISTS', k_freeing) == 1 then more = 1 end
return { 'ok', freed, more }
