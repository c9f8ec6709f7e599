-- delete_queue: forget the name of a queue that is empty
-- from: none
-- to: none
-- keys: queues queue bell paused
-- args: queue
-- says: ok not_empty
-- cost: O(1)
if redis.call('LLEN', k_queue) > 0 then return 'not_empty' end
-- writes below
redis.call('SREM', k_queues, k_queue)
redis.call('DEL', k_bell)
redis.call('SREM', k_paused, a_queue)
return 'ok'
