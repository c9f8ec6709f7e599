-- Ending an execution: what the job becomes, what is kept of it, who may go on because of it.

-- May this execution settle? Says nil for yes, else the refusal. `job`: its fields status, execution and settled. The last is
-- `verb:execution` of the last settlement; it tells a call that is carried out twice (already) from one that has lost its lease.
local function refusal(queue, id, execution, verb, job)
  if not job.status then return 'gone', 'gone' end
  if job.status == 'started' and job.execution == execution and
    redis.call('ZSCORE', key_wip(queue), id .. ':' .. execution) then return nil end
  return job.settled == verb .. ':' .. execution and 'already' or 'not_yours', job.status
end

-- One entry of the result stream. `kind`: 1 successful, 2 failed, 4 retried, 5 retries used up.
local function record(id, kind, worker, ttl, value, exception, execution, started, ended)
  if ttl == 0 then return end
  local entry = { 'type', kind, 'worker_name', worker }
  local function add(name, text)
    if text and text ~= '' then
      entry[#entry + 1] = name
      entry[#entry + 1] = text
    end
  end
  add('exc_string', exception)
  add('return_value', value)
  add('execution_id', execution)
  if started and started > 0 then add('execution_started_at', seconds(started)) end
  if ended and ended > 0 then add('execution_ended_at', seconds(ended)) end
  redis.call('XADD', key_results(id), 'MAXLEN', '~', 10, '*', unpack(entry))
  keep_for(key_results(id), ttl)
end

local function count_for_worker(worker, field, worked)
  if redis.call('EXISTS', key_worker(worker)) == 0 then return end
  redis.call('HINCRBY', key_worker(worker), field, 1)
  if worked > 0 then redis.call('HINCRBYFLOAT', key_worker(worker), 'total_working_time', seconds(worked)) end
end

-- The n-th interval (from 0) of a JSON list or number; the last one repeats. In ms.
local function interval(json, n)
  local ok, list = pcall(cjson.decode, json or '0')
  if not ok then return 0 end
  if type(list) == 'number' then return list * 1000 end
  if type(list) ~= 'table' or #list == 0 then return 0 end
  return (tonumber(list[math.min(n + 1, #list)]) or 0) * 1000
end

-- Once more, now or after a delay. The delay is a time from now, in ms.
local function again(id, queue, delay, front, now)
  redis.call('PERSIST', key_job(id))
  return put(id, queue, delay > 0 and now + delay or nil, front, now)
end

-- What RQ's Retry of this job allows: the delay in ms, or nil when none is left. Counts the retry.
local function use_retry(id)
  local job = fields_of(key_job(id), 'retries_left', 'retry_intervals', 'retries_done')
  local left, done = tonumber(job.retries_left or '') or 0, tonumber(job.retries_done or '') or 0
  if left <= 0 then return nil end
  redis.call('HSET', key_job(id), 'retries_left', left - 1, 'retries_done', done + 1)
  return interval(job.retry_intervals, done)
end

-- The same for RQ's Repeat. `left`: the field as it was read.
local function use_repeat(id, left)
  left = tonumber(left or '') or 0
  if left <= 0 then return nil end
  local job = fields_of(key_job(id), 'repeat_intervals', 'repeats_done')
  local done = tonumber(job.repeats_done or '') or 0
  redis.call('HSET', key_job(id), 'repeats_left', left - 1, 'repeats_done', done + 1)
  return interval(job.repeat_intervals, done)
end

-- Into the failed registry, or away when nothing is to be kept. RQ's score for "for ever" is a literal -1.
local function bury(id, queue, status, ttl, now)
  redis.call('HSET', key_job(id), 'status', status)
  local freed, more = end_dependants(id, 'failed', now)
  if ttl == 0 then
    local canceled, left = erase(id, false, queue, now)
    return 'gone', freed + canceled, left
  end
  redis.call('ZADD', key_failed(queue), ttl < 0 and -1 or seconds(now + ttl * 1000), id)
  keep_for(key_job(id), ttl)
  keep_for(key_dependencies(id), ttl)
  return status, freed, more
end

-- The job ended well. Says {word, status, freed, more}.
local function finish_job(s, now)
  local id, queue = s.id, s.queue
  local job_key = key_job(id)
  local job = fields_of(job_key, 'status', 'execution', 'settled', 'abandoned', 'repeats_left', 'group_id')
  local word, status = refusal(queue, id, s.execution, 'finish', job)
  if word then return { word, status, 0, 0 } end
  close_execution(queue, id, s.execution, s.worker)
  count_for_worker(s.worker, 'successful_job_count', s.ended - s.started)
  local delay, ttl = use_repeat(id, job.repeats_left), s.result_ttl
  if ttl == 0 and not delay then
    if is_set(job.group_id) then redis.call('SREM', key_group(job.group_id), id) end
    redis.call('DEL', job_key, key_dependencies(id), key_results(id))
    local freed, more = end_dependants(id, 'finished', now)
    return { 'ok', 'gone', freed, more }
  end
  redis.call('HSET', job_key, 'status', 'finished', 'ended_at', iso(s.ended > 0 and s.ended or now), 'execution', '', 'settled',
    'finish:' .. s.execution)
  if job.abandoned then redis.call('HDEL', job_key, 'abandoned') end
  record(id, 1, s.worker, ttl, s.result, '', s.execution, s.started, s.ended)
  local freed, more = end_dependants(id, 'finished', now)
  if delay then return { 'ok', again(id, queue, delay, false, now), freed, more } end
  redis.call('ZADD', key_finished(queue), ttl < 0 and '+inf' or seconds(now + ttl * 1000), id)
  keep_for(job_key, ttl)
  keep_for(key_dependencies(id), ttl)
  return { 'ok', 'finished', freed, more }
end

-- The job did not end well, or asked to be run again. Says {word, status, freed, more}.
local function fail_job(s, now)
  local id, queue = s.id, s.queue
  local job = fields_of(key_job(id), 'status', 'execution', 'settled', 'abandoned', 'enqueue_at_front_on_retry',
    'number_of_retries')
  local word, status = refusal(queue, id, s.execution, 'fail', job)
  if word then return { word, status, 0, 0 } end
  close_execution(queue, id, s.execution, s.worker)
  count_for_worker(s.worker, 'failed_job_count', s.ended - s.started)
  redis.call('HSET', key_job(id), 'ended_at', iso(s.ended > 0 and s.ended or now), 'execution', '', 'settled',
    'fail:' .. s.execution)
  if s.outcome == 'abandoned' then
    redis.call('HSET', key_job(id), 'abandoned', (tonumber(job.abandoned or '') or 0) + 1)
    return { 'ok', again(id, queue, 0, true, now), 0, 0 }
  end
  if job.abandoned then redis.call('HDEL', key_job(id), 'abandoned') end
  if s.outcome == 'retried' then
    redis.call('HSET', key_job(id), 'number_of_retries', (tonumber(job.number_of_retries or '') or 0) + 1)
    record(id, 4, s.worker, s.failure_ttl, s.result, '', s.execution, s.started, s.ended)
    return { 'ok', again(id, queue, tonumber(s.retry) or 0, false, now), 0, 0 }
  end
  if s.outcome == 'failed' and s.retry ~= 'never' then
    local delay = s.retry == 'auto' and use_retry(id) or tonumber(s.retry)
    if delay then
      return { 'ok', again(id, queue, delay, is_set(job.enqueue_at_front_on_retry), now), 0, 0 }
    end
  end
  local kind = s.outcome == 'exhausted' and 5 or 2
  record(id, kind, s.worker, s.failure_ttl, s.result, s.exception, s.execution, s.started, s.ended)
  local state, freed, more = bury(id, queue, s.outcome == 'stopped' and 'stopped' or 'failed', s.failure_ttl, now)
  return { 'ok', state, freed, more }
end

-- Back to the front of its queue, as if it had never been taken.
local function release_job(queue, id, execution, worker, now)
  local job = fields_of(key_job(id), 'status', 'execution', 'settled', 'attempts', 'ttl')
  local word = refusal(queue, id, execution, 'release', job)
  if word then return word end
  close_execution(queue, id, execution, worker)
  redis.call('HSET', key_job(id), 'attempts', (tonumber(job.attempts or '') or 1) - 1, 'execution', '', 'settled',
    'release:' .. execution, 'started_at', '', 'worker_name', '')
  put(id, queue, nil, true, now)
  local ttl = tonumber(job.ttl or '')
  if ttl and ttl > 0 then keep_for(key_job(id), ttl) end
  return 'ok'
end
