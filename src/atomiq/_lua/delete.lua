-- delete: a job and everything kept about it; dependants that needed it to finish are canceled, or deleted as well
-- from: created queued deferred scheduled started finished failed stopped canceled
-- to: gone
-- keys: job
-- args: id dependants:int
-- says: ok gone
-- cost: O(queue) for a queued job (LREM); O(dependants), at most 100
local job = fields_of(k_job, 'status', 'origin', 'data')
if not job.status and not job.data then
  if redis.call('EXISTS', k_job) == 0 then return { 'gone', '', 0 } end
end
-- writes below
if a_dependants == 1 then remove_dependants(a_id, 100, NOW) end
-- Where dependencies go in a circle, the deletion of a dependant may have moved this job as well.
local status = redis.call('HGET', k_job, 'status')
erase(a_id, status or 'created', job.origin or '', NOW, a_dependants == 1 and 0 or 100)
redis.call('DEL', key_executions(a_id))
return { 'ok', job.status or '', 0 }
