-- Ending an execution: what the job becomes, what is kept of it, who may go on because of it.

-- May this execution settle? Says nil for yes, else the refusal. `verb:execution` of the last settlement tells a call that is
-- carried out twice (already) from one that has lost its lease (not_yours).
local function refusal(queue, id, execution, verb)
  if redis.call('ZSCORE', key_wip(queue), id .. ':' .. execution) then return nil end
  local job = fields_of(key_job(id), 'settled', 'status')
  if not job.status then return 'gone' end
  if job.settled == verb .. ':' .. execution then return 'already', job.status end
  return 'not_yours', job.status
end

local function keep_for(key, ttl)
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
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

local function use_repeat(id)
  local job = fields_of(key_job(id), 'repeats_left', 'repeat_intervals', 'repeats_done')
  local left, done = tonumber(job.repeats_left or '') or 0, tonumber(job.repeats_done or '') or 0
  if left <= 0 then return nil end
  redis.call('HSET', key_job(id), 'repeats_left', left - 1, 'repeats_done', done + 1)
  return interval(job.repeat_intervals, done)
end

local function free_if_any(id, how, now)
  if redis.call('EXISTS', key_dependents(id)) == 0 then return 0, 0 end
  return free_dependants(id, how, 100, now)
end

-- Into the failed registry, or away when nothing is to be kept. RQ's score for "for ever" is a literal -1.
local function bury(id, queue, status, ttl, now)
  redis.call('HSET', key_job(id), 'status', status)
  if ttl == 0 then
    local freed, more = free_if_any(id, 'failed', now)
    erase(id, false, queue, now)
    return 'gone', freed, more
  end
  redis.call('ZADD', key_failed(queue), ttl < 0 and -1 or seconds(now + ttl * 1000), id)
  keep_for(key_job(id), ttl)
  if redis.call('EXISTS', key_dependencies(id)) == 1 then keep_for(key_dependencies(id), ttl) end
  local freed, more = free_if_any(id, 'failed', now)
  return status, freed, more
end

-- The job ended well. Says {word, status, freed, more}.
local function finish_job(s, now)
  local word, status = refusal(s.queue, s.id, s.execution, 'finish')
  if word then return { word, status or 'gone', 0, 0 } end
  close_execution(s.queue, s.id, s.execution, s.worker)
  count_for_worker(s.worker, 'successful_job_count', s.ended - s.started)
  redis.call('HSET', key_job(s.id), 'status', 'finished', 'ended_at', iso(s.ended), 'settled', 'finish:' .. s.execution,
    'abandoned', 0)
  local delay, ttl = use_repeat(s.id), s.result_ttl
  record(s.id, 1, s.worker, ttl, s.result, '', s.execution, s.started, s.ended)
  local freed, more = free_if_any(s.id, 'finished', now)
  if delay then return { 'ok', again(s.id, s.queue, delay, false, now), freed, more } end
  if ttl == 0 then
    local group = redis.call('HGET', key_job(s.id), 'group_id')
    if is_set(group) then redis.call('SREM', key_group(group), s.id) end
    redis.call('DEL', key_job(s.id), key_dependencies(s.id), key_results(s.id))
    return { 'ok', 'gone', freed, more }
  end
  redis.call('ZADD', key_finished(s.queue), ttl < 0 and '+inf' or seconds(now + ttl * 1000), s.id)
  keep_for(key_job(s.id), ttl)
  if redis.call('EXISTS', key_dependencies(s.id)) == 1 then keep_for(key_dependencies(s.id), ttl) end
  return { 'ok', 'finished', freed, more }
end

-- The job did not end well, or asked to be run again. Says {word, status, freed, more}.
local function fail_job(s, now)
  local word, status = refusal(s.queue, s.id, s.execution, 'fail')
  if word then return { word, status or 'gone', 0, 0 } end
  local job = fields_of(key_job(s.id), 'enqueue_at_front_on_retry', 'number_of_retries')
  close_execution(s.queue, s.id, s.execution, s.worker)
  count_for_worker(s.worker, 'failed_job_count', s.ended - s.started)
  redis.call('HSET', key_job(s.id), 'ended_at', iso(s.ended), 'settled', 'fail:' .. s.execution, 'abandoned', 0)
  if s.outcome == 'retried' then
    redis.call('HSET', key_job(s.id), 'number_of_retries', (tonumber(job.number_of_retries or '') or 0) + 1)
    record(s.id, 4, s.worker, s.failure_ttl, s.result, '', s.execution, s.started, s.ended)
    return { 'ok', again(s.id, s.queue, tonumber(s.retry), false, now), 0, 0 }
  end
  if s.outcome == 'failed' and s.retry ~= 'never' then
    local delay = s.retry == 'auto' and use_retry(s.id) or tonumber(s.retry)
    if delay then
      return { 'ok', again(s.id, s.queue, delay, is_set(job.enqueue_at_front_on_retry), now), 0, 0 }
    end
  end
  local kind = s.outcome == 'exhausted' and 5 or 2
  record(s.id, kind, s.worker, s.failure_ttl, s.result, s.exception, s.execution, s.started, s.ended)
  local state, freed, more = bury(s.id, s.queue, s.outcome == 'stopped' and 'stopped' or 'failed', s.failure_ttl, now)
  return { 'ok', state, freed, more }
end

-- Back to the front of its queue, as if it had never been taken.
local function release_job(queue, id, execution, worker, now)
  local word = refusal(queue, id, execution, 'release')
  if word then return word end
  local attempts = tonumber(redis.call('HGET', key_job(id), 'attempts') or '') or 1
  close_execution(queue, id, execution, worker)
  redis.call('HSET', key_job(id), 'attempts', attempts - 1, 'settled', 'release:' .. execution, 'started_at', '',
    'worker_name', '')
  put(id, queue, nil, true, now)
  local ttl = tonumber(redis.call('HGET', key_job(id), 'ttl') or '')
  if ttl and ttl > 0 then redis.call('EXPIRE', key_job(id), ttl) end
  return 'ok'
end
