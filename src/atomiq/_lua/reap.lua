-- reap: executions whose lease is over: run again, or fail as poison or by policy
-- from: started
-- to: queued scheduled failed gone
-- keys: wip
-- args: queue max_abandoned:int policy limit:int failure_ttl:int poison_text abandoned_text stopped_text
-- says: ok
-- cost: O(limit log wip)
-- writes below
local over = redis.call('ZRANGEBYSCORE', k_wip, '-inf', seconds(NOW), 'LIMIT', 0, a_limit)
local requeued, retried, failed, dropped = {}, {}, {}, 0
local function settle_abandoned(id, execution, worker)
  local job = fields_of(key_job(id), 'abandoned', 'on_abandoned', 'failure_ttl', 'started_at')
  local times = (tonumber(job.abandoned or '') or 0) + 1
  local ttl = tonumber(job.failure_ttl or '') or a_failure_ttl
  local stopping = redis.call('HEXISTS', key_execution(id, execution), 'stop') == 1
  close_execution(a_queue, id, execution, worker)
  redis.call('HSET', key_job(id), 'abandoned', times, 'worker_name', '')
  local policy = job.on_abandoned or a_policy
  if not stopping and policy ~= 'fail' and times <= a_max_abandoned then
    again(id, a_queue, 0, true, NOW)
    requeued[#requeued + 1] = id
    return
  end
  local text, status = a_poison_text, 'failed'
  if stopping then
    text, status = a_stopped_text, 'stopped'
  elseif policy == 'fail' then
    text = a_abandoned_text
    local delay = use_retry(id)
    if delay then
      again(id, a_queue, delay, is_set(redis.call('HGET', key_job(id), 'enqueue_at_front_on_retry')), NOW)
      retried[#retried + 1] = id
      return
    end
  end
  redis.call('HSET', key_job(id), 'ended_at', iso(NOW), 'abandoned', 0)
  record(id, 2, '', ttl, '', text, execution, 0, NOW)
  bury(id, a_queue, status, ttl, NOW)
  failed[#failed + 1] = id
end
for _, member in ipairs(over) do
  local id, execution = member:match('^(.*):([^:]*)$')
  local worker = redis.call('HGET', key_execution(id, execution), 'worker_name')
  local others = 0
  for _, other in ipairs(redis.call('ZRANGE', key_executions(id), 0, -1)) do
    if other ~= execution and redis.call('ZSCORE', k_wip, id .. ':' .. other) then others = others + 1 end
  end
  if redis.call('HGET', key_job(id), 'status') ~= 'started' or others > 0 then
    close_execution(a_queue, id, execution, worker)
    dropped = dropped + 1
  else
    settle_abandoned(id, execution, worker)
  end
end
return { 'ok', requeued, retried, failed, dropped, #over == a_limit and 1 or 0 }
