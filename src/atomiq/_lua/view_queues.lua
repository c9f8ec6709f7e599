-- view_queues: the size of every container of some queues, all at one instant
-- from: none
-- to: none
-- keys: paused
-- args: queues:list
-- says: ok
-- cost: O(queues log registry)
local now_seconds, reply = seconds(NOW), { 'ok' }
for _, queue in ipairs(a_queues) do
  reply[#reply + 1] = { queue, redis.call('LLEN', key_queue(queue)), redis.call('ZCARD', key_wip(queue)),
    redis.call('ZCOUNT', key_finished(queue), '(' .. now_seconds, '+inf'),
    redis.call('ZCARD', key_failed(queue)) - redis.call('ZCOUNT', key_failed(queue), 0, now_seconds),
    redis.call('ZCARD', key_deferred(queue)), redis.call('ZCARD', key_scheduled(queue)),
    redis.call('ZCARD', key_canceled(queue)), redis.call('SISMEMBER', k_paused, queue) }
end
return reply
