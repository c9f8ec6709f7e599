-- cron_beat: a cron scheduler is alive, and shows what it looks after, in RQ's form
-- from: none
-- to: none
-- keys: cron_schedulers cron_scheduler
-- args: name ttl:int beats:flag fields:list
-- says: ok
-- cost: O(log schedulers)
-- writes below
if a_beats then redis.call('ZADD', k_cron_schedulers, seconds(NOW), a_name) end
redis.call('HSET', k_cron_scheduler, unpack(a_fields))
redis.call('EXPIRE', k_cron_scheduler, a_ttl)
return { 'ok', NOW }
