-- Ending an execution: what the job becomes, what is kept of it, who may go on because of it.

-- Does this execution own the job? Then its lease is gone now: the last look is the first write, as what a ZREM removes was there.
local function takes_lease(queue, id, execution, status, owner)
  return status == 'started' and owner == execution and redis.call('ZREM', key_wip(queue), id .. ':' .. execution) == 1
end

-- Why an execution may not settle. `settled` in the hash is `verb:execution` of the last settlement; it tells a call that is carried
-- out twice (already) from one that has lost its lease. Says what finish_job says.
local function refused(id, execution, verb, status)
  if not status then return 'gone', 'gone', 0, 0 end
  local repeated = redis.call('HGET', key_job(id), 'settled') == verb .. ':' .. execution
  return repeated and 'already' or 'not_yours', status, 0, 0
end

-- A stream that XADD makes takes 4 KiB at once, however little is in it; a copy takes what there is. So the first entry of a result
-- stream is made in another place, and copied, if its value isn't large.
local function is_small(value)
  return #value <= 3000
end

-- One entry of the result stream. `kind`: 1 successful, 2 failed, 4 retried, 5 retries used up. `name`: what the value is. Times are
-- in seconds, as text; what is empty is left out.
local function record(id, kind, worker, ttl, name, value, execution, started, ended)
  if ttl ~= 0 then
    local entry = { 'type', kind, 'worker_name', worker }
    for field, text in pairs({ [name] = value, execution_id = execution, execution_started_at = started, execution_ended_at = ended }) do
      if text ~= '' then entry[#entry + 1], entry[#entry + 2] = field, text end
    end
    drop_foreign(key_results(id), 'XLEN')
    if is_small(value) and redis.call('EXISTS', key_results(id)) == 0 then
      redis.call('XADD', key_made(), 'MAXLEN', '1', '*', unpack(entry))
      redis.call('COPY', key_made(), key_results(id))
      redis.call('DEL', key_made())
    else
      redis.call('XADD', key_results(id), 'MAXLEN', '10', '*', unpack(entry))
    end
    keep_for(key_results(id), ttl)
  end
end

-- The same for a job that ended well, of which all is known, with a small value; and its execution goes, as one DEL is enough for all.
-- The id that the server gives an entry of a new stream, `ms-0`, is its time: nobody has to ask for it.
local function record_success(id, worker, ttl, kept, value, execution, started, ended)
  local place, stream, made = key_made(), key_results(id), nil
  if value == '' then
    made = redis.call('XADD', place, 'MAXLEN', '1', '*', 'type', '1', 'worker_name', worker, 'execution_id', execution,
      'execution_started_at', started, 'execution_ended_at', ended)
  else
    made = redis.call('XADD', place, 'MAXLEN', '1', '*', 'type', '1', 'worker_name', worker, 'return_value', value,
      'execution_id', execution, 'execution_started_at', started, 'execution_ended_at', ended)
  end
  told_ms = told_ms or made:sub(1, 13) + 0
  local first = redis.call('COPY', place, stream) == 1
  redis.call('DEL', place, key_execution(id, execution), key_executions(id))
  if first then
    keep(stream, kept)
  else
    rare('record')(id, '1', worker, ttl, 'return_value', value, execution, started, ended)
  end
end

local function count_for_worker(worker, field, started, ended)
  if redis.call('EXISTS', key_worker(worker)) == 1 then
    redis.call('HINCRBY', key_worker(worker), field, 1)
    if started ~= '' and ended ~= '' and ended - started > 0 then
      redis.call('HINCRBYFLOAT', key_worker(worker), 'total_working_time', format('%.3f', ended - started))
    end
  end
end

-- Settlements of calls that were not full, told by a full one: `finished failed worked`, the last in ms. `token`: made of an execution
-- id, other for what claims it than for what settles it, so that a repetition of a call counts nothing twice: others of the worker's
-- stations may have told theirs in between, so the last 2000 bytes of tokens are kept, the latest first.
local function add_tally(worker, token, tally)
  local key = key_worker(worker)
  local told = redis.call('HGET', key, 'tallied') or ''
  if redis.call('EXISTS', key) == 0 or told:find(' ' .. token .. ' ', 1, true) then return end
  even_without_memory()
  local finished, failed, worked = tally:match('^(%d+) (%d+) (%d+)$')
  redis.call('HINCRBY', key, 'successful_job_count', finished)
  redis.call('HINCRBY', key, 'failed_job_count', failed)
  redis.call('HINCRBYFLOAT', key, 'total_working_time', seconds(worked))
  redis.call('HSET', key, 'tallied', (' ' .. token .. ' ' .. told):sub(1, 2000))
end

local function count_tally(worker, token, tally)
  if tally ~= '0 0 0' then rare('add_tally')(worker, token, tally) end
end

-- The n-th interval (from 0) of a JSON list or number, times `unit`, at most a thousand years; the last one repeats.
local function interval(json, n, unit)
  local ok, list = pcall(cjson.decode, json or '0')
  if not ok then return 0 end
  if type(list) == 'table' then list = list[math.min(n + 1, #list)] end
  return math.min(number_of(list, 0) * unit, 31536000000000)
end

-- Once more, now or after a delay. The delay is a time from now, in ms.
local function again(id, queue, delay, front, now)
  redis.call('PERSIST', key_job(id))
  return put(id, queue, delay > 0 and now + delay or nil, front, now)
end

-- What the Retry of this job allows: the delay in ms, or nil when none is left. Counts the retry. With a back-off the job has its
-- delays in ms, and for RQ's workers in seconds.
local function use_retry(id)
  local job = fields_of(key_job(id), 'retries_left', 'retry_intervals', 'retries_done', 'retry_ms')
  local left, done = number_of(job.retries_left, 0), number_of(job.retries_done, 0)
  if left <= 0 then return nil end
  redis.call('HSET', key_job(id), 'retries_left', left - 1, 'retries_done', done + 1)
  if is_set(job.retry_ms) then return interval(job.retry_ms, done, 1) end
  return interval(job.retry_intervals, done, 1000)
end

-- The same for RQ's Repeat. `left`: the field as it was read.
local function use_repeat(id, left)
  left = number_of(left, 0)
  if left <= 0 then return nil end
  local job = fields_of(key_job(id), 'repeat_intervals', 'repeats_done')
  local done = number_of(job.repeats_done, 0)
  redis.call('HSET', key_job(id), 'repeats_left', left - 1, 'repeats_done', done + 1)
  return interval(job.repeat_intervals, done, 1000)
end

-- Into the failed registry, or away when nothing is to be kept. RQ's score for "for ever" is a literal -1.
local function bury(id, queue, status, ttl, now)
  redis.call('HSET', key_job(id), 'status', status)
  local group = redis.call('HGET', key_job(id), 'group_id')
  if is_group(group) then member_ended(group, id, status, now) end
  local freed, more = end_dependants(id, 'failed', now)
  if ttl == 0 then
    local canceled, left = erase(id, false, queue, now)
    return 'gone', freed + canceled, left
  end
  redis.call('ZADD', key_failed(queue), ttl < 0 and -1 or end_of(ttl, now), id)
  keep_for(key_job(id), ttl)
  keep_for(key_dependencies(id), ttl)
  return status, freed, more
end

-- Nothing is kept of a job that ended well.
local function drop(id, now)
  local group = redis.call('HGET', key_job(id), 'group_id')
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id))
  if is_group(group) then
    redis.call('SREM', key_group(group), id)
    member_ended(group, id, 'finished', now)
  end
  return end_dependants(id, 'finished', now)
end

-- The job ended well. Says word, status, how many dependants went on, 1 if more will. Times are in seconds and in RQ's form, as
-- text, empty if not known. `alone`: the job has no dependants and no dependencies. The worker's list of what it holds is the caller's
-- to see to.
local function finish_job(queue, id, execution, worker, value, ttl, started, started_at, ended, ended_at, full, alone)
  local job_key, kept = key_job(id), lifetime(ttl)
  local job = redis.call('HMGET', job_key, 'status', 'execution', 'repeats_left', 'abandoned', 'group_id')
  if not takes_lease(queue, id, execution, job[1], job[2]) then return rare('refused')(id, execution, 'finish', job[1]) end
  if full then count_for_worker(worker, 'successful_job_count', started, ended) end
  local delay = job[3] and rare('use_repeat')(id, job[3])
  if ttl == 0 and not delay then
    redis.call('DEL', key_execution(id, execution), key_executions(id))
    return 'ok', 'gone', rare('drop')(id, clock())
  end
  if started_at == '' then started_at = redis.call('HGET', job_key, 'started_at') or '' end
  redis.call('HSET', job_key, 'status', 'finished', 'started_at', started_at, 'ended_at', ended_at ~= '' and ended_at or iso(clock()),
    'execution', '', 'settled', 'finish:' .. execution)
  if job[4] then redis.call('HDEL', job_key, 'abandoned') end
  if ttl ~= 0 and started ~= '' and ended ~= '' and is_small(value) then
    record_success(id, worker, ttl, kept, value, execution, started, ended)
  else
    redis.call('DEL', key_execution(id, execution), key_executions(id))
    rare('record')(id, '1', worker, ttl, 'return_value', value, execution, started, ended)
  end
  local now, freed, more = clock(), 0, 0
  if not alone then freed, more = rare('end_dependants')(id, 'finished', now) end
  if delay then return 'ok', rare('again')(id, queue, delay, false, now), freed, more end
  local group = job[5]
  if is_group(group) then
    -- Neither the first nor the last of its group: what member_ended would do, without what it costs to make it.
    local open, ended = key_open(group), key_ended(group)
    if redis.call('SCARD', open) > 1 and redis.call('HEXISTS', ended, '#finished') == 1 and redis.call('SREM', open, id) == 1 then
      redis.call('HSET', ended, id, 'finished')
      redis.call('HINCRBY', ended, '#finished', 1)
    else
      rare('member_ended')(group, id, 'finished', now)
    end
  end
  redis.call('ZADD', key_finished(queue), kept and format('%d', now / 1000 + kept) or '+inf', id)
  keep(job_key, kept)
  if not alone then keep(key_dependencies(id), kept) end
  return 'ok', 'finished', freed, more
end

-- The job did not end well, or asked to be run again. Says what finish_job says.
local function fail_job(s, now)
  local id, queue, job_key = s.id, s.queue, key_job(s.id)
  local job = fields_of(job_key, 'status', 'execution', 'abandoned', 'enqueue_at_front_on_retry', 'number_of_retries')
  if not takes_lease(queue, id, s.execution, job.status, job.execution) then return refused(id, s.execution, 'fail', job.status) end
  redis.call('DEL', key_execution(id, s.execution), key_executions(id))
  if s.full then count_for_worker(s.worker, 'failed_job_count', s.started, s.ended) end
  redis.call('HSET', job_key, 'ended_at', s.ended_at ~= '' and s.ended_at or iso(now), 'execution', '', 'settled', 'fail:' .. s.execution)
  if s.started_at ~= '' then redis.call('HSET', job_key, 'started_at', s.started_at) end
  if s.outcome == 'abandoned' then
    redis.call('HSET', job_key, 'abandoned', number_of(job.abandoned, 0) + 1)
    if s.value ~= '' then redis.call('HSET', job_key, 'last_death', s.value) end
    return 'ok', again(id, queue, 0, true, now), 0, 0
  end
  if job.abandoned then redis.call('HDEL', job_key, 'abandoned') end
  if s.outcome == 'retried' then
    redis.call('HSET', job_key, 'number_of_retries', number_of(job.number_of_retries, 0) + 1)
    record(id, '4', s.worker, s.ttl, 'return_value', s.value, s.execution, s.started, s.ended)
    return 'ok', again(id, queue, tonumber(s.retry) or 0, false, now), 0, 0
  end
  if s.outcome == 'failed' and s.retry ~= 'never' then
    local delay = s.retry == 'auto' and use_retry(id) or tonumber(s.retry)
    if delay then return 'ok', again(id, queue, delay, is_set(job.enqueue_at_front_on_retry), now), 0, 0 end
  end
  if s.outcome == 'exhausted' then
    record(id, '5', s.worker, s.ttl, 'return_value', s.value, s.execution, s.started, s.ended)
  else
    record(id, '2', s.worker, s.ttl, 'exc_string', s.value, s.execution, s.started, s.ended)
  end
  return 'ok', bury(id, queue, s.outcome == 'stopped' and 'stopped' or 'failed', s.ttl, now)
end

-- What the job requires was not there: back into the schedule, with a record of its waits, as if it had never been taken. Says what
-- finish_job says.
local function wait_job(queue, id, execution, worker, waits, delay, now)
  local job = fields_of(key_job(id), 'status', 'execution', 'attempts', 'abandoned')
  if not takes_lease(queue, id, execution, job.status, job.execution) then return refused(id, execution, 'waiting', job.status) end
  redis.call('DEL', key_execution(id, execution), key_executions(id))
  redis.call('HSET', key_job(id), 'attempts', number_of(job.attempts, 1) - 1, 'execution', '', 'settled', 'waiting:' .. execution,
    'started_at', '', 'worker_name', '', 'waits', waits)
  if job.abandoned then redis.call('HDEL', key_job(id), 'abandoned') end
  return 'ok', again(id, queue, delay, false, now), 0, 0
end

-- "Job stopped by user, work-horse terminated.", RQ's sentence, as a result stream holds it.
local STOPPED = 'eJzzyk9SKC7JLyhITVFIqlQoLU4t0lEozy/K1s3ILypOVShJLcrNzEssSU3RAwBbIQ/t'

-- It was to be stopped, and is given back before anybody could tell whoever held it.
local function stop_released(id, queue, execution, worker, ttl, now)
  redis.call('HSET', key_job(id), 'ended_at', iso(now), 'execution', '', 'settled', 'release:' .. execution)
  redis.call('HDEL', key_job(id), 'abandoned')
  ttl = number_of(ttl, 31536000)
  record(id, '2', worker, ttl, 'exc_string', STOPPED, execution, '', moment(now))
  bury(id, queue, 'stopped', ttl, now)
end

-- Back to the front of its queue, as if it had never been taken.
local function release_job(queue, id, execution, worker, now)
  local job = fields_of(key_job(id), 'status', 'execution', 'attempts', 'ttl', 'failure_ttl')
  if not takes_lease(queue, id, execution, job.status, job.execution) then return (refused(id, execution, 'release', job.status)) end
  local stop = redis.call('HGET', key_execution(id, execution), 'stop')
  close_execution(queue, id, execution, worker)
  if stop then
    stop_released(id, queue, execution, worker, job.failure_ttl, now)
    return 'ok'
  end
  redis.call('HSET', key_job(id), 'attempts', number_of(job.attempts, 1) - 1, 'execution', '', 'settled',
    'release:' .. execution, 'started_at', '', 'worker_name', '')
  put(id, queue, nil, true, now)
  local ttl = tonumber(job.ttl or '')
  if ttl and ttl > 0 then keep_for(key_job(id), ttl) end
  return 'ok'
end

-- The same for a job of which only the execution is known. The worker's list of what it holds names the job.
local function give_back_job(id, execution, worker, now)
  if not id then return 'unknown' end
  local queue = redis.call('HGET', key_job(id), 'origin')
  if queue and release_job(queue, id, execution, worker, now) == 'ok' then return 'ok' end
  return 'not_yours'
end
