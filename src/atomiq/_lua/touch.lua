-- touch: write fields that say nothing about the state: meta, progress, description
-- from: any
-- to: same
-- keys: job
-- args: fields:list
-- says: ok gone
-- cost: O(fields)
if redis.call('EXISTS', k_job) == 0 then return 'gone' end
-- writes below
redis.call('HSET', k_job, unpack(a_fields))
return 'ok'
