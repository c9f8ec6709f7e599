-- set_status: somebody says what a job is (RQ's Job.set_status, Job.prepare_for_execution): it goes into the container of that status
-- from: created queued deferred scheduled started finished failed stopped canceled
-- to: created queued deferred scheduled started finished failed stopped canceled
-- keys: job
-- args: id status worker execution lease:int fields:list
-- says: ok already gone
-- cost: O(queue) for a queued job (LREM); O(freed), at most 100 dependants, when it has ended
local job = fields_of(k_job, 'status', 'origin', 'attempts', 'result_ttl', 'failure_ttl', 'ttl', 'group_id', 'settled',
  'allow_dependency_failures')
if not job.status then return 'gone' end
local queue, done = job.origin or '', 'set_status:' .. a_execution
if job.settled == done then return 'already' end
-- writes below
redis.call('HSET', k_job, 'settled', done, unpack(a_fields))
if job.status == a_status then return 'ok' end
if queue == '' then -- it has no containers
  redis.call('HSET', k_job, 'status', a_status)
  return 'ok'
end
settle_dependants(a_id, NOW)
leave(a_id, job.status, queue)

-- Nothing is erased because of a word: what a ttl of 0 would drop at once stays for a minute.
local function kept(ttl, otherwise)
  ttl = number_of(ttl, otherwise)
  return ttl == 0 and 60 or ttl
end

local function become()
  if a_status == 'failed' or a_status == 'stopped' then
    bury(a_id, queue, a_status, kept(job.failure_ttl, 31536000), NOW)
  elseif a_status == 'canceled' then
    put_canceled(a_id, queue, NOW)
  elseif a_status == 'finished' then
    local ttl = kept(job.result_ttl, 500)
    redis.call('HSET', k_job, 'status', 'finished')
    if is_group(job.group_id) then member_ended(job.group_id, a_id, 'finished', NOW) end
    end_dependants(a_id, 'finished', NOW)
    redis.call('ZADD', key_finished(queue), ttl < 0 and '+inf' or end_of(ttl, NOW), a_id)
    keep_for(k_job, ttl)
  end
end

local function wait()
  redis.call('PERSIST', k_job)
  if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
  if a_status == 'queued' then
    put(a_id, queue, nil, false, NOW)
  elseif a_status == 'started' then
    open_execution(queue, a_id, a_execution, a_worker, a_lease, (tonumber(job.attempts or '') or 0) + 1, NOW)
    redis.call('PEXPIRE', key_worker_executions(a_worker), a_lease + 60000)
    return
  else
    redis.call('HSET', k_job, 'status', a_status)
    if a_status == 'deferred' then
      redis.call('ZADD', key_deferred(queue), seconds(NOW), a_id)
      list_unmet(a_id, is_set(job.allow_dependency_failures))
    elseif a_status == 'scheduled' then -- when, only the caller knows, and will say; until then in a year
      redis.call('ZADD', key_scheduled(queue), end_of(31536000, NOW), a_id)
    end
  end
  local ttl = tonumber(job.ttl or '')
  if ttl and ttl > 0 then keep_for(k_job, ttl) end
end

local ends = a_status == 'finished' or a_status == 'failed' or a_status == 'stopped' or a_status == 'canceled'
if ends then become() else wait() end
return 'ok'
