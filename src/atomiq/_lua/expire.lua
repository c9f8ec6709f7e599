-- expire: drop what has outlived its time from a queue's registries, and ids whose hash is gone
-- from: finished failed stopped canceled deferred scheduled
-- to: gone
-- keys: finished failed deferred canceled
-- args: queue limit:int offset:int
-- says: ok
-- cost: O(limit log registry)
-- writes below
local removed, more = 0, 0
for _, key in ipairs({ k_finished, k_failed }) do
  local over = redis.call('ZRANGEBYSCORE', key, 0, seconds(NOW), 'LIMIT', 0, a_limit)
  if #over == a_limit then more = 1 end
  for _, id in ipairs(over) do
    redis.call('ZREM', key, id)
    local job = fields_of(key_job(id), 'status', 'origin')
    local container = (job.status == 'finished' and k_finished) or
      ((job.status == 'failed' or job.status == 'stopped') and k_failed)
    if not job.status then
      forget(id, NOW)
    elseif container == key and job.origin == a_queue then
      erase(id, false, a_queue, NOW)
    end
    removed = removed + 1
  end
end
local ghosts, longest = 0, 0
for _, key in ipairs({ k_deferred, k_canceled, k_failed }) do
  local page = redis.call('ZRANGE', key, a_offset, a_offset + a_limit - 1)
  if #page > longest then longest = #page end
  for _, id in ipairs(page) do
    if redis.call('EXISTS', key_job(id)) == 0 then
      redis.call('ZREM', key, id)
      forget(id, NOW)
      ghosts = ghosts + 1
    end
  end
end
if longest == a_limit then more = 1 end
return { 'ok', removed + ghosts, more, longest == a_limit and math.max(a_offset + a_limit - ghosts, 0) or 0 }
