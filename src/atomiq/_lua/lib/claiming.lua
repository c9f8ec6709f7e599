-- Taking work.

-- What the worker hash shows after something was given back or settled, or nothing found: a job that it holds (the same one if asked
-- again), or that it rests, and how. A hash that has expired is not brought back in part.
local function worker_rests(worker, state)
  local key, held = key_worker(worker), key_worker_executions(worker)
  if redis.call('EXISTS', key) == 0 then return end
  local some = redis.call('HSCAN', held, 0, 'COUNT', 10)[2][2]
  if some then
    redis.call('HSET', key, 'current_job', some)
  elseif redis.call('EXISTS', held) == 0 then
    redis.call('HSET', key, 'state', state or 'idle')
    redis.call('HDEL', key, 'current_job')
  end
end

-- An execution is settled, and no claim with it. Is it the job that the worker shows, and does it hold others?
local function put_down(worker, execution, id)
  redis.call('HDEL', key_worker_executions(worker), execution)
  if redis.call('HGET', key_worker(worker), 'current_job') == id and redis.call('HLEN', key_worker_executions(worker)) > 0 then
    rare('worker_rests')(worker)
  end
end

-- The job is this execution's now. What the caller has to see to: no ttl of the job may be left, and the worker's list of what it
-- holds must have one.
local function open_execution(queue, id, execution, worker, lease, attempt, now)
  local opened, started, kept = moment(now), iso(now), format('%d', lease + 60000)
  local execution_key, executions_key = key_execution(id, execution), key_executions(id)
  redis.call('HSET', execution_key, 'id', execution, 'created_at', opened, 'last_heartbeat', opened, 'worker_name', worker)
  redis.call('PEXPIRE', execution_key, kept)
  redis.call('ZADD', executions_key, traces_end(lease, now), execution)
  redis.call('PEXPIRE', executions_key, kept)
  redis.call('ZADD', key_wip(queue), lease_end(lease, now), id .. ':' .. execution)
  redis.call('HSET', key_job(id), 'status', 'started', 'started_at', started, 'last_heartbeat', started, 'worker_name', worker,
    'attempts', attempt == 1 and '1' or attempt, 'execution', execution)
  redis.call('HSET', key_worker_executions(worker), execution, id)
end

-- Is this id, popped from a queue, a job that may run? If not it is dropped: no hash or no data, or a status that says it is
-- elsewhere. Pushed by hand into this queue while it waits elsewhere, now it is this queue's job, and no other's.
local function take_odd(id, queue, status, data, origin, now)
  if not data then
    forget(id, now)
    return false
  end
  if status and status ~= 'queued' and status ~= 'created' and status ~= 'scheduled' and status ~= 'deferred' then return false end
  leave(id, status, origin or queue)
  redis.call('HSET', key_job(id), 'origin', queue)
  return true
end

-- A call that is carried out a second time (its reply was lost) gets the jobs that the first one took. `ids`: what the worker's list
-- says of these executions.
local function claimed_before(executions, ids, now)
  local reply = { 'ok', now, 0, 0 }
  for i, execution in ipairs(executions) do
    local id = ids[i]
    if id then
      local job = fields_of(key_job(id), 'origin', 'attempts', 'execution')
      if job.execution == execution and redis.call('ZSCORE', key_wip(job.origin), id .. ':' .. execution) then
        local said = redis.call('HGETALL', key_job(id))
        local size = #said
        said[size + 1], said[size + 2], said[size + 3], said[size + 4] = job.origin, id, execution, tonumber(job.attempts or '1')
        reply[#reply + 1] = said
      end
    end
  end
  return #reply > 4 and reply
end

-- Of many queues most are empty, and one command looks at ten. Has none of ten, from `first` on, a schedule, and if all is to be
-- looked at (`whole`), jobs or a bell? Then a claim would find nothing there, and do nothing. A paused one counts for empty.
local function ten_empty(queues, first, paused, whole)
  local places, size = {}, 0
  for q = first, math.min(first + 9, #queues) do
    if not (paused and paused[q] == 1) then
      local queue = queues[q]
      size = size + 1
      places[size] = key_scheduled(queue)
      if whole then
        places[size + 1], places[size + 2] = key_queue(queue), key_bell(queue)
        size = size + 2
      end
    end
  end
  return size == 0 or redis.call('EXISTS', unpack(places)) == 0
end

-- When the first scheduled job of these queues is due; a paused queue's jobs wait whatever the time is.
local function earliest_due(queues, paused)
  local earliest, passed = 0, 0
  for i, queue in ipairs(queues) do
    if i % 10 == 2 and #queues > 10 and ten_empty(queues, i, paused, false) then passed = i + 9 end
    local due = (i <= passed or paused and paused[i] == 1) and 0 or next_due(queue)
    if due > 0 and (earliest == 0 or due < earliest) then earliest = due end
  end
  return earliest
end

-- A claim found nothing, or nothing may be claimed now.
local function nothing(word, worker, full, now, due, more)
  if full then worker_rests(worker, word == 'suspended' and word) end
  return { word, now, due, more }
end

-- Take up to #executions jobs from the first queues that have any. Says {word, now, next due, more, job...}; of a job its fields and
-- their values but those that are empty (they may be many, and would cost both sides), then queue, id, execution, attempt: all in
-- one list, as a list inside of another is what costs most in a reply.
-- A call that is not full leaves to the next full one what can wait: due jobs, bells, what the worker's hash shows. `more` then
-- says that the queues were not seen empty.
-- `settled`: the execution that this very call has ended, if any. The call can't have been carried out before, then; and the worker's
-- list must lose it only after it has the new ones, or the list would be made anew, without its ttl.
-- `open`: it is known that no queue is paused, and that the workers are not suspended.
-- Ids that stand for nothing are dropped, at most 100 a call (`budget`).
local function claim_jobs(worker, lease, executions, queues, pass_on, full, now, settled, open)
  local held = key_worker_executions(worker)
  if full or not settled then
    local ids = redis.call('HMGET', held, unpack(executions))
    for i = 1, #executions do
      local before = ids[i] and rare('claimed_before')(executions, ids, now)
      if before then
        if settled then redis.call('HDEL', held, settled) end
        return before
      end
    end
  end
  -- Of another type, these would break the claim off after it has taken an id off its queue; one job after the other was in no list.
  for q = 1, settled and 0 or #queues do
    redis.call('ZCARD', key_wip(queues[q]))
    redis.call('ZCARD', key_bell(queues[q]))
  end
  local paused
  if not open then
    if redis.call('EXISTS', key_suspended()) == 1 then
      if settled then redis.call('HDEL', held, settled) end
      return rare('nothing')('suspended', worker, full, now, 0, 0)
    end
    paused = redis.call('SMISMEMBER', key_paused(), unpack(queues))
  end
  local reply, count, wanted, budget, promotions, passed, last = { 'ok', now, 0, 0, nil, nil }, 0, #executions, 100, 100, 0, nil
  for q = 1, #queues do
    local queue, before = queues[q], count
    -- In a call that is not full all that it does to an empty queue is one LPOP.
    if full and q % 10 == 2 and #queues > 10 and count < wanted and rare('ten_empty')(queues, q, paused, true) then passed = q + 9 end
    if q > passed and count < wanted and not (paused and paused[q] == 1) then
      if full and promotions > 0 and redis.call('ZCOUNT', key_scheduled(queue), '-inf', moment(now)) > 0 then
        local _, looked = rare('promote_due')(queue, promotions, now)
        promotions = promotions - looked
      end
      while count < wanted and budget > 0 do
        local id = redis.call('LPOP', key_queue(queue))
        if not id then break end
        local raw = redis.call('HGETALL', key_job(id))
        local kept, used, attempts, waited, status, data, origin = 1, false, 0, false, nil, nil, nil
        for i = 1, #raw, 2 do
          local name, value = raw[i], raw[i + 1]
          if value ~= '' then
            raw[kept], raw[kept + 1] = name, value
            kept = kept + 2
            if name == 'status' then status = value
            elseif name == 'data' then data = true
            elseif name == 'origin' then origin = value
            elseif name == 'dependency_ids' then waited = true
            elseif name == 'attempts' then attempts, used = tonumber(value) or 0, true
            elseif name == 'ttl' or name == 'worker_name' or name == 'last_heartbeat' or name == 'exc_info' then used = true end
          end
        end
        if data and status == 'queued' and origin == queue or rare('take_odd')(id, queue, status, data, origin, now) then
          -- What it still waited for when RQ's worker freed it.
          if waited then redis.call('DEL', key_unmet(id)) end
          -- One with a ttl, or one that had an end before: RQ enqueues it again, and its hash keeps the ttl of that end.
          if used then redis.call('PERSIST', key_job(id)) end
          count = count + 1
          open_execution(queue, id, executions[count], worker, lease, attempts + 1, now)
          raw[kept], raw[kept + 1], raw[kept + 2], raw[kept + 3], raw[kept + 4] = queue, id, executions[count], attempts + 1, nil
          reply[count + 4], last = raw, id
        else
          budget = budget - 1
        end
      end
      if not full then
        if count == wanted or budget == 0 then reply[4] = 1 end
      elseif count == before and budget > 0 then
        redis.call('DEL', key_bell(queue))
      elseif redis.call('LLEN', key_queue(queue)) > 0 then
        reply[4] = 1
        ring(queue)
      end
      if full and pass_on and count > before and rare('next_due')(queue) > 0 then ring(queue) end
    end
  end
  local lost = not settled or redis.call('HDEL', held, settled) == 0
  if count == 0 then
    return rare('nothing')('empty', worker, full, now, full and rare('earliest_due')(queues, paused) or 0, reply[4])
  end
  if full or lost then redis.call('PEXPIRE', held, lease + 60000) end
  if full and redis.call('EXISTS', key_worker(worker)) == 1 then
    redis.call('HSET', key_worker(worker), 'state', 'busy', 'current_job', last, 'current_job_working_time', '0')
  end
  return reply
end
