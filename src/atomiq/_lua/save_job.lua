-- save_job: write the fields of a job, never its state; a job that was not stored before is created, in no container (RQ's Job.save)
-- from: gone
-- to: created
-- keys: job
-- args: fields:list
-- says: ok created
-- cost: O(fields)
local status = redis.call('HGET', k_job, 'status')
-- writes below
redis.call('HSET', k_job, unpack(a_fields))
if status then return 'ok' end
redis.call('HSET', k_job, 'status', 'created')
return 'created'
