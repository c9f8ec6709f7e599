-- empty_queue: delete up to `limit` waiting jobs of a queue, or only take them off it (their status is then created)
-- from: queued created
-- to: gone created
-- keys: queue
-- args: queue detach:int limit:int
-- says: ok
-- cost: O(limit)
-- writes below
-- All are taken off first: a dependant that goes on because its parent is deleted comes into the queue anew, and stays.
local ids = redis.call('LRANGE', k_queue, 0, a_limit - 1)
redis.call('LTRIM', k_queue, a_limit, -1)
local left = redis.call('LLEN', k_queue)
for _, id in ipairs(ids) do
  local job = fields_of(key_job(id), 'status', 'origin')
  if job.status == 'queued' then
    -- Pushed by hand into this queue while it waits in another.
    if job.origin and job.origin ~= a_queue then leave(id, 'queued', job.origin) end
    if a_detach == 1 then
      redis.call('HSET', key_job(id), 'status', 'created')
    else
      erase(id, false, a_queue, NOW)
    end
  elseif not job.status then
    forget(id, NOW)
  end
end
if redis.call('LLEN', k_queue) == 0 then redis.call('DEL', key_bell(a_queue)) end
return { 'ok', #ids, left }
