-- worker_death: a worker takes its leave; what it still holds goes back to the front of its queues, or is stopped if it was to be
-- from: started
-- to: queued stopped gone
-- keys: worker workers worker_executions
-- args: worker incarnation queues:list
-- says: ok taken
-- cost: O(queues + held)
-- One that was taken for dead has lost its name to another; what that one holds isn't ours to give back.
local incarnation = redis.call('HGET', k_worker, 'incarnation')
if a_incarnation ~= '' and incarnation and incarnation ~= a_incarnation then return { 'taken', {} } end
-- writes below
local released = {}
local held = redis.call('HGETALL', k_worker_executions)
for i = #held - 1, 1, -2 do -- each goes to the front: the first of them last
  local execution, id = held[i], held[i + 1]
  local queue = redis.call('HGET', key_job(id), 'origin')
  if queue and release_job(queue, id, execution, a_worker, NOW) == 'ok' then released[#released + 1] = id end
end
redis.call('DEL', k_worker_executions)
redis.call('SREM', k_workers, k_worker)
for _, queue in ipairs(a_queues) do
  redis.call('SREM', key_worker_set(queue), k_worker)
  if redis.call('LLEN', key_queue(queue)) > 0 then ring(queue) end
end
if redis.call('EXISTS', k_worker) == 1 then
  redis.call('HSET', k_worker, 'death', iso(NOW), 'state', 'idle')
  redis.call('HDEL', k_worker, 'current_job')
  redis.call('EXPIRE', k_worker, 60)
end
return { 'ok', released }
