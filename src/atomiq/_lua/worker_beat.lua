-- worker_beat: a worker that lives, and what it wants to show of itself
-- from: none
-- to: none
-- keys: worker
-- args: ttl:int fields:list
-- says: ok gone
-- cost: O(fields)
if redis.call('EXISTS', k_worker) == 0 then return 'gone' end
-- writes below
even_without_memory()
redis.call('HSET', k_worker, 'last_heartbeat', iso(NOW), 'beat', NOW, unpack(a_fields))
redis.call('EXPIRE', k_worker, a_ttl)
return 'ok'
