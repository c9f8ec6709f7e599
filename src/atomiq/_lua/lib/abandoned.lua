-- Work that somebody took and did not bring to an end.

-- Is another execution of the job on the list? Then that one decides what becomes of the job. `last`: the one that the job knows.
local function runs_elsewhere(id, execution, last, queue)
  local others = redis.call('ZRANGE', key_executions(id), 0, -1)
  if is_set(last) then others[#others + 1] = last end
  for _, other in ipairs(others) do
    if other ~= execution and redis.call('ZSCORE', key_wip(queue), id .. ':' .. other) then return true end
  end
  return false
end

-- May a worker of RQ's hold an id of the intermediate list, about to start it? One that serves this queue alone (others don't use the
-- list), lives (somebody listens to its channel), runs nothing, and has given no sign of life since then. What can't be known may be.
local function may_be_taken(queue, since)
  for _, key in ipairs(redis.call('SMEMBERS', key_worker_set(queue))) do
    local worker = fields_of(key, 'queues', 'state', 'last_heartbeat', 'death', 'incarnation')
    if worker.queues == queue and not worker.incarnation and not worker.death and worker.state ~= 'busy' and
      (worker.last_heartbeat or '') <= since then
      local heard = redis.pcall('PUBSUB', 'NUMSUB', key_pubsub(key:sub(#key_worker('') + 1)))
      if heard.err or heard[2] > 0 then return true end
    end
  end
  return false
end

local function give_up(id, queue, execution, text, status, ttl, now)
  redis.call('HSET', key_job(id), 'ended_at', iso(now))
  redis.call('HDEL', key_job(id), 'abandoned')
  record(id, '2', '', ttl, 'exc_string', text, execution, '', execution ~= '' and moment(now) or '')
  bury(id, queue, status, ttl, now)
  return 'failed'
end

-- What becomes of a job that was taken out of its container: requeued (run again at once), retried (by its Retry) or failed.
-- `rules`: queue, policy, max_abandoned, failure_ttl, and the texts abandoned and poison. `stopped`: the text if it was to be stopped.
local function settle_abandoned(id, execution, job, rules, stopped, now)
  local times = math.max(number_of(job.abandoned, 0), 0) + 1
  local ttl = number_of(job.failure_ttl, rules.failure_ttl)
  local policy = is_set(job.on_abandoned) and job.on_abandoned or rules.policy
  redis.call('HSET', key_job(id), 'abandoned', times, 'worker_name', '', 'execution', '')
  if stopped then return give_up(id, rules.queue, execution, stopped, 'stopped', ttl, now) end
  if policy == 'fail' then
    local delay = use_retry(id)
    if not delay then return give_up(id, rules.queue, execution, rules.abandoned, 'failed', ttl, now) end
    again(id, rules.queue, delay, is_set(job.enqueue_at_front_on_retry), now)
    return 'retried'
  end
  if times > rules.max_abandoned then return give_up(id, rules.queue, execution, rules.poison, 'failed', ttl, now) end
  again(id, rules.queue, 0, true, now)
  return 'requeued'
end
