-- Taking work.

-- What the worker hash shows while the worker runs nothing. A hash that has expired is not brought back in part.
local function worker_rests(worker)
  if redis.call('EXISTS', key_worker(worker)) == 1 and redis.call('HLEN', key_worker_executions(worker)) == 0 then
    redis.call('HSET', key_worker(worker), 'state', 'idle')
    redis.call('HDEL', key_worker(worker), 'current_job')
  end
end

local function open_execution(queue, id, execution, worker, lease, attempt, now)
  local now_seconds, now_iso = seconds(now), iso(now)
  local kept = lease + 60000
  local execution_key, executions_key, job_key = key_execution(id, execution), key_executions(id), key_job(id)
  redis.call('HSET', execution_key, 'id', execution, 'created_at', now_seconds, 'last_heartbeat', now_seconds,
    'worker_name', worker)
  redis.call('PEXPIRE', execution_key, kept)
  redis.call('ZADD', executions_key, seconds(now + kept), execution)
  redis.call('PEXPIRE', executions_key, kept)
  redis.call('ZADD', key_wip(queue), seconds(now + lease), id .. ':' .. execution)
  redis.call('HSET', job_key, 'status', 'started', 'started_at', now_iso, 'last_heartbeat', now_iso, 'worker_name', worker,
    'attempts', attempt, 'origin', queue, 'execution', execution)
  redis.call('PERSIST', job_key)
  redis.call('HSET', key_worker_executions(worker), execution, id)
  redis.call('PEXPIRE', key_worker_executions(worker), kept)
end

-- Why an id popped from a queue isn't taken: no hash or no data, or a status that says it is elsewhere.
local TAKEABLE = { queued = true, created = true, scheduled = true, deferred = true }

-- Pop one runnable job; ids that stand for nothing are dropped, at most `budget` of them.
local function pop_job(queue, budget, now)
  local dropped = 0
  while dropped < budget do
    local id = redis.call('LPOP', key_queue(queue))
    if not id then return nil, nil, 0, dropped end
    local raw = redis.call('HGETALL', key_job(id))
    local status, data, attempts, origin, waited
    for i = 1, #raw, 2 do
      local name = raw[i]
      if name == 'status' then status = raw[i + 1]
      elseif name == 'data' then data = true
      elseif name == 'origin' then origin = raw[i + 1]
      elseif name == 'dependency_ids' then waited = true
      elseif name == 'attempts' then attempts = raw[i + 1] end
    end
    if data and TAKEABLE[status or 'created'] then
      -- Pushed by hand into this queue while it waits elsewhere: now it is this queue's job, and no other's.
      if status ~= 'queued' or (origin and origin ~= queue) then leave(id, status, origin or queue) end
      -- What it still waited for when RQ's worker freed it.
      if waited then redis.call('DEL', key_unmet(id)) end
      return id, raw, (tonumber(attempts or '') or 0) + 1, dropped
    end
    if not data then forget(id, now) end
    dropped = dropped + 1
  end
  return nil, nil, 0, dropped
end

-- A call that is carried out a second time (its reply was lost) gets the jobs that the first one took.
local function claimed_before(worker, executions)
  local ids = redis.call('HMGET', key_worker_executions(worker), unpack(executions))
  local jobs = {}
  for i, id in ipairs(ids) do
    if id then
      local job = fields_of(key_job(id), 'origin', 'attempts', 'execution')
      if job.execution == executions[i] and redis.call('ZSCORE', key_wip(job.origin), id .. ':' .. executions[i]) then
        jobs[#jobs + 1] = { job.origin, id, executions[i], tonumber(job.attempts or '1'), redis.call('HGETALL', key_job(id)) }
      end
    end
  end
  return jobs
end

-- When the first scheduled job of these queues is due; a paused queue's jobs wait whatever the time is.
local function earliest_due(queues, paused)
  local earliest = 0
  for i, queue in ipairs(queues) do
    local due = paused[i] == 0 and next_due(queue) or 0
    if due > 0 and (earliest == 0 or due < earliest) then earliest = due end
  end
  return earliest
end

-- Take up to #executions jobs from the first queues that have any. Says {word, now, next due, more, job...}.
local function claim_jobs(worker, lease, executions, queues, pass_on, now)
  local jobs = claimed_before(worker, executions)
  if #jobs > 0 then return { 'ok', now, 0, 0, unpack(jobs) } end
  if redis.call('EXISTS', key_suspended()) == 1 then
    worker_rests(worker)
    return { 'suspended', now, 0, 0 }
  end
  local paused = redis.call('SMISMEMBER', key_paused(), unpack(queues))
  local promotions, budget, more = 100, 100, 0
  for i, queue in ipairs(queues) do
    if paused[i] == 0 and #jobs < #executions then
      if promotions > 0 then
        local _, looked = promote_due(queue, promotions, now)
        promotions = promotions - looked
      end
      local before = #jobs
      while #jobs < #executions do
        local id, raw, attempt, dropped = pop_job(queue, budget, now)
        budget = budget - dropped
        if not id then break end
        local execution = executions[#jobs + 1]
        open_execution(queue, id, execution, worker, lease, attempt, now)
        jobs[#jobs + 1] = { queue, id, execution, attempt, raw }
      end
      if #jobs == before and budget > 0 then
        redis.call('DEL', key_bell(queue))
      elseif redis.call('LLEN', key_queue(queue)) > 0 then
        more = 1
        ring(queue)
      end
      if #jobs > before and pass_on and next_due(queue) > 0 then ring(queue) end
    end
  end
  if #jobs == 0 then
    worker_rests(worker)
    return { 'empty', now, earliest_due(queues, paused), more }
  end
  if redis.call('EXISTS', key_worker(worker)) == 1 then
    redis.call('HSET', key_worker(worker), 'state', 'busy', 'current_job', jobs[#jobs][2], 'current_job_working_time', '0')
  end
  return { 'ok', now, 0, more, unpack(jobs) }
end
