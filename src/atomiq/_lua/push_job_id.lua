-- push_job_id: an id into a queue by hand (RQ's Queue.push_job_id); its job leaves whatever it was in
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: gone queued
-- keys: queue job
-- args: queue id front:flag push:flag
-- says: ok already busy
-- cost: O(queue) for an id that waits in a queue, or has no job; else O(log registry + dependencies)
-- An id that waits there already keeps its place, but for one that is put to the front. Without `push` the job becomes queued, and
-- its id is in the list already, or wherever a subclass has put it.
local job = fields_of(k_job, 'status', 'origin', 'data', 'ttl', 'group_id')
if job.status == 'started' then return 'busy' end
local waits = job.status == 'queued' and job.origin == a_queue
if waits and not a_push then return 'already' end
if (waits or not job.status) and not a_front and redis.call('LPOS', k_queue, a_id) then return 'already' end
-- writes below
if job.status then
  settle_dependants(a_id, NOW)
  leave(a_id, job.status, job.origin or a_queue)
else
  redis.call('LREM', k_queue, 0, a_id)
end
if a_push then push(a_queue, a_id, a_front) end
if job.data then
  redis.call('HSET', k_job, 'status', 'queued', 'origin', a_queue, 'enqueued_at', iso(NOW))
  redis.call('HDEL', k_job, 'due')
  if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
  redis.call('PERSIST', k_job)
  local ttl = tonumber(job.ttl or '')
  if ttl and ttl > 0 then keep_for(k_job, ttl) end
end
redis.call('SADD', key_queues(), key_queue(a_queue))
ring(a_queue)
return 'ok'
