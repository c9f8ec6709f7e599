-- reap: executions whose lease is over: run again, or fail as poison or by policy
-- from: started
-- to: queued scheduled failed stopped gone
-- keys: wip
-- args: queue max_abandoned:int policy limit:int failure_ttl:int poison_text abandoned_text stopped_text
-- says: ok
-- cost: O(limit log wip)
-- writes below
local over = redis.call('ZRANGEBYSCORE', k_wip, '-inf', seconds(NOW), 'LIMIT', 0, a_limit)
local requeued, retried, failed, dropped = {}, {}, {}, 0

local function give_up(id, execution, text, status, ttl)
  redis.call('HSET', key_job(id), 'ended_at', iso(NOW))
  redis.call('HDEL', key_job(id), 'abandoned')
  record(id, '2', '', ttl, 'exc_string', text, execution, '', moment(NOW))
  bury(id, a_queue, status, ttl, NOW)
  failed[#failed + 1] = id
end

local function settle_abandoned(id, execution, job, stopping)
  local times = (tonumber(job.abandoned or '') or 0) + 1
  local ttl = tonumber(job.failure_ttl or '') or a_failure_ttl
  local policy = is_set(job.on_abandoned) and job.on_abandoned or a_policy
  redis.call('HSET', key_job(id), 'abandoned', times, 'worker_name', '', 'execution', '')
  if stopping then return give_up(id, execution, a_stopped_text, 'stopped', ttl) end
  if policy == 'fail' then
    local delay = use_retry(id)
    if not delay then return give_up(id, execution, a_abandoned_text, 'failed', ttl) end
    again(id, a_queue, delay, is_set(job.enqueue_at_front_on_retry), NOW)
    retried[#retried + 1] = id
  elseif times > a_max_abandoned then
    give_up(id, execution, a_poison_text, 'failed', ttl)
  else
    again(id, a_queue, 0, true, NOW)
    requeued[#requeued + 1] = id
  end
end

-- Is another execution of the job on the list? Then that one decides what becomes of the job.
local function has_another(id, execution, last)
  local others = redis.call('ZRANGE', key_executions(id), 0, -1)
  if is_set(last) then others[#others + 1] = last end
  for _, other in ipairs(others) do
    if other ~= execution and redis.call('ZSCORE', k_wip, id .. ':' .. other) then return true end
  end
  return false
end

for _, member in ipairs(over) do
  local id, execution = member:match('^(.*):([^:]*)$')
  if not id then id, execution = member, '' end -- RQ before 2.0 listed the job alone
  local job = fields_of(key_job(id), 'status', 'execution', 'worker_name', 'abandoned', 'on_abandoned', 'failure_ttl',
    'enqueue_at_front_on_retry')
  local opened = fields_of(key_execution(id, execution), 'worker_name', 'stop')
  close_execution(a_queue, id, execution, opened.worker_name or job.worker_name)
  redis.call('ZREM', k_wip, member)
  if job.status == 'started' and not has_another(id, execution, job.execution) then
    settle_abandoned(id, execution, job, opened.stop)
  else
    if not job.status then forget(id, NOW) end
    dropped = dropped + 1
  end
end
return { 'ok', requeued, retried, failed, dropped, #over == a_limit and 1 or 0 }
