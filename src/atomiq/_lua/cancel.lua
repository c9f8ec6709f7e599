-- cancel: a job that is not wanted any more; one that runs loses its lease
-- from: created queued deferred scheduled finished failed stopped started
-- to: canceled
-- keys: job
-- args: id dependants:int detach:int token
-- says: ok already gone
-- cost: O(queue) for a queued job (LREM); O(freed), at most 100
local job = fields_of(k_job, 'status', 'origin', 'changed')
if not job.status then return { 'gone', '', 0 } end
-- This very call was carried out before, and its reply was lost.
if a_token ~= '' and job.changed == a_token then return { 'ok', job.status, 0 } end
if job.status == 'canceled' then return { 'already', job.status, 0 } end
-- writes below
local queue = job.origin or ''
if a_detach == 1 then
  for _, dependency in ipairs(redis.call('SMEMBERS', key_dependencies(a_id))) do
    redis.call('SREM', key_dependents(dependency), a_id)
  end
end
leave(a_id, job.status, queue)
put_canceled(a_id, queue, NOW)
if a_token ~= '' then redis.call('HSET', k_job, 'changed', a_token) end
local freed = 0
if a_dependants == 1 then freed = end_dependants(a_id, 'canceled', NOW) end
return { 'ok', job.status, freed }
