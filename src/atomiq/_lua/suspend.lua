-- suspend: let no worker take a job, for `ttl` seconds (0: until resumed)
-- from: none
-- to: none
-- keys: suspended
-- args: ttl:int
-- says: ok
-- cost: O(1)
-- writes below
if a_ttl > 0 then redis.call('SET', k_suspended, '1', 'EX', a_ttl) else redis.call('SET', k_suspended, '1') end
return 'ok'
