-- scheduler_beat: the hash of RQ's scheduler, written or renewed, with its end
-- from: none
-- to: none
-- keys: scheduler
-- args: ttl:int fields:list
-- says: ok
-- cost: O(fields)
-- writes below
redis.call('HSET', k_scheduler, unpack(a_fields))
redis.call('EXPIRE', k_scheduler, a_ttl)
return 'ok'
