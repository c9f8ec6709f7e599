-- touch: write fields that say nothing about the state: meta, progress, description; `execution`: only while it owns the job
-- from: any
-- to: same
-- keys: job
-- args: execution fields:list
-- says: ok gone not_yours
-- cost: O(fields)
if redis.call('EXISTS', k_job) == 0 then return 'gone' end
local job = a_execution ~= '' and fields_of(k_job, 'status', 'execution')
if job and (job.status ~= 'started' or job.execution ~= a_execution) then return 'not_yours' end
-- writes below
redis.call('HSET', k_job, unpack(a_fields))
return 'ok'
