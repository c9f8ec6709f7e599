-- pop_job_id: the first id off the first queue that has one (RQ's Queue.pop_job_id and lpop); its job is in no queue then
-- from: queued
-- to: created
-- keys: queues
-- args: names:list
-- says: ok empty
-- cost: O(queues)
-- writes below
for _, queue in ipairs(a_names) do
  local id = redis.call('LPOP', key_queue(queue))
  if id then
    local job = fields_of(key_job(id), 'status', 'origin')
    if job.status == 'queued' and job.origin == queue then redis.call('HSET', key_job(id), 'status', 'created') end
    if redis.call('LLEN', key_queue(queue)) == 0 then redis.call('DEL', key_bell(queue)) end
    return { 'ok', queue, id }
  end
end
return { 'empty' }
