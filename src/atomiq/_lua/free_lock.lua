-- free_lock: a lock given back by its owner (RQ's release_lock)
-- from: none
-- to: none
-- keys: scheduler_lock
-- args: owner
-- says: ok not_yours
-- cost: O(1)
if redis.call('GET', k_scheduler_lock) ~= a_owner then return 'not_yours' end
-- writes below
redis.call('DEL', k_scheduler_lock)
return 'ok'
