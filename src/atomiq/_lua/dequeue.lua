-- dequeue: the next job of some queues, in order of priority, handed to a caller that is no worker (RQ's dequeue_any)
-- from: queued scheduled
-- to: queued
-- keys: paused
-- args: queues:list
-- says: ok empty
-- cost: O(queues + promoted + ids without a job), each bounded by 100
-- Its id moves to the queue's intermediate list, where it stays until the job becomes something else, or is put back.
local paused = redis.call('SMISMEMBER', k_paused, unpack(a_queues))
-- writes below
local budget, promotions = 100, 100
for q = 1, #a_queues do
  local queue = a_queues[q]
  if paused[q] == 0 then
    if promotions > 0 then
      local _, looked = promote_due(queue, promotions, NOW)
      promotions = promotions - looked
    end
    while budget > 0 do
      local id = redis.call('LPOP', key_queue(queue))
      if not id then break end
      local job = fields_of(key_job(id), 'status', 'data', 'origin')
      if job.data and job.status == 'queued' and job.origin == queue or take_odd(id, queue, job.status, job.data, job.origin, NOW) then
        redis.call('HSET', key_job(id), 'status', 'queued')
        redis.call('RPUSH', key_intermediate(queue), id)
        -- It waits no longer: what its caller does with it may take longer than it was allowed to wait.
        redis.call('PERSIST', key_job(id))
        if redis.call('LLEN', key_queue(queue)) > 0 then ring(queue) end
        return { 'ok', queue, id, redis.call('HGETALL', key_job(id)) }
      end
      budget = budget - 1
    end
    if budget > 0 then redis.call('DEL', key_bell(queue)) end
  end
end
return { 'empty', budget == 0 and 1 or 0 }
