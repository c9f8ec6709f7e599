-- delete: a job and everything kept about it; dependants that needed it to finish are canceled
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
if a_dependants == 1 then
  for _, id in ipairs(redis.call('SPOP', key_dependents(a_id), 1000)) do
    local child = fields_of(key_job(id), 'status', 'origin')
    if child.status then erase(id, child.status, child.origin or '', NOW) end
  end
end
-- Where dependencies go in a circle, the deletion of a dependant may have moved this job as well.
local status = redis.call('HGET', k_job, 'status')
erase(a_id, status or 'created', job.origin or '', NOW)
redis.call('DEL', key_executions(a_id))
return { 'ok', job.status or '', 0 }
