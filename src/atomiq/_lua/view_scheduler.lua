-- view_scheduler: process id of what moves the due jobs of a queue: of RQ's scheduler, else of a worker of ours
-- from: none
-- to: none
-- keys: scheduler_lock worker_set
-- args: limit:int
-- says: ok
-- cost: O(limit)
local scheduler = redis.call('GET', k_scheduler_lock)
local pid = scheduler and redis.call('HGET', key_scheduler(scheduler), 'pid')
if pid then return { 'ok', pid } end
for _, key in ipairs(redis.call('SRANDMEMBER', k_worker_set, a_limit)) do
  local worker = redis.call('HMGET', key, 'pid', 'incarnation')
  if worker[1] and worker[2] then return { 'ok', worker[1] } end
end
return { 'ok', '' }
