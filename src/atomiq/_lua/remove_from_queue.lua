-- remove_from_queue: take a job off its queue and leave it nowhere (RQ's Queue.remove); its status is then created
-- from: queued
-- to: created
-- keys: queue job
-- args: id
-- says: ok
-- cost: O(queue), LREM
-- writes below
local removed = redis.call('LREM', k_queue, 0, a_id)
if removed > 0 and redis.call('HGET', k_job, 'status') == 'queued' then redis.call('HSET', k_job, 'status', 'created') end
return { 'ok', removed }
