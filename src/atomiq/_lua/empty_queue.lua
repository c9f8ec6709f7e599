-- empty_queue: delete up to `limit` waiting jobs of a queue, or only take them off it (their status is then created)
-- from: queued created
-- to: gone created
-- keys: queue
-- args: queue detach:int limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local removed = 0
for _ = 1, a_limit do
  local id = redis.call('LPOP', k_queue)
  if not id then break end
  removed = removed + 1
  local status = redis.call('HGET', key_job(id), 'status')
  if status == 'queued' then
    if a_detach == 1 then
      redis.call('HSET', key_job(id), 'status', 'created')
    else
      erase(id, false, a_queue, NOW)
    end
  elseif not status then
    forget(id, NOW)
  end
end
local left = redis.call('LLEN', k_queue)
if left == 0 then redis.call('DEL', key_bell(a_queue)) end
return { 'ok', removed, left > 0 and 1 or 0 }
