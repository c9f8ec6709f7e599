-- take_lock: a lock for whoever asks first, for `ttl` seconds; its owner may ask again (RQ's acquire_or_refresh_lock)
-- from: none
-- to: none
-- keys: scheduler_lock
-- args: owner ttl:int
-- says: acquired refreshed taken
-- cost: O(1)
local owner = redis.call('GET', k_scheduler_lock)
if owner and owner ~= a_owner then return 'taken' end
-- writes below
redis.call('SET', k_scheduler_lock, a_owner, 'EX', a_ttl)
return owner and 'refreshed' or 'acquired'
