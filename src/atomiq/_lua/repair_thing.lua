-- repair_thing: mend one thing that is no job (see examine_things), if it is still wrong in the same way
-- from: any
-- to: same queued
-- keys: queues
-- args: kind name word places:list
-- says: ok healed more
-- cost: O(1), or O(members), at most 100 (of a group 1,000) a call; `more` if some are left
-- `places` of a dead worker: the queues whose lists name it.
if judge(a_kind, a_name, NOW) ~= a_word then return 'healed' end
local listed = a_kind ~= 'worker' or a_word ~= 'dead' or redis.call('SISMEMBER', key_workers(), key_worker(a_name)) == 1
for _, queue in ipairs(a_places) do
  listed = listed or redis.call('SISMEMBER', key_worker_set(queue), key_worker(a_name)) == 1
end
if not listed then return 'healed' end
-- writes below
local left = false

local function unregister_worker()
  local worker = key_worker(a_name)
  local queues = redis.call('HGET', worker, 'queues') or ''
  redis.call('SREM', key_workers(), worker)
  for _, queue in ipairs(a_places) do redis.call('SREM', key_worker_set(queue), worker) end
  for queue in queues:gmatch('[^,]+') do redis.call('SREM', key_worker_set(queue), worker) end
  redis.call('DEL', worker)
end

local function register_worker()
  redis.call('SADD', key_workers(), key_worker(a_name))
  local queues = redis.call('HGET', key_worker(a_name), 'queues') or ''
  for queue in queues:gmatch('[^,]+') do redis.call('SADD', key_worker_set(queue), key_worker(a_name)) end
end

local function mend_worker()
  if a_word == 'unlisted' then register_worker()
  elseif a_word == 'no_ttl' then redis.call('EXPIRE', key_worker(a_name), 480)
  else unregister_worker() end
end

-- Those who wait for nothing else are findings of their own; the others don't need one that is gone (it counts as met).
local function mend_dependents()
  if redis.call('EXISTS', key_job(a_name)) == 0 then
    redis.call('DEL', key_dependents(a_name))
  else
    for _, stranger in ipairs(strangers_of(a_name, 100)) do redis.call('SREM', key_dependents(a_name), stranger[1]) end
    left = judge_dependents(a_name) == a_word
  end
end

local function mend_trace()
  local key = trace_key(a_kind, a_name)
  if a_word ~= 'no_ttl' then redis.call('DEL', key)
  elseif a_kind == 'results' then redis.call('PEXPIRE', key, math.max(1, redis.call('PTTL', key_job(a_name))))
  elseif a_kind == 'unmet' then bound_unmet(a_name)
  else redis.call('EXPIRE', key, 150) end
end

local function mend_group()
  if a_word == 'unlisted' then
    redis.call('SADD', key_groups(), a_name)
    return
  end
  for _, id in ipairs(redis.call('SRANDMEMBER', key_group(a_name), 1000)) do
    if redis.call('EXISTS', key_job(id)) == 0 then member_gone(a_name, id, NOW) end
  end
  if redis.call('EXISTS', key_group(a_name)) == 0 then redis.call('SREM', key_groups(), a_name) end
  left = judge_group(a_name) == a_word
end

-- Jobs of a list that nobody goes on moving (RQ's Queue.compact), back into their queue unless they are there.
local function mend_compact()
  local key = key_queue(a_name)
  for _, id in ipairs(redis.call('LRANGE', key, 0, 99)) do
    local job = fields_of(key_job(id), 'status', 'origin')
    if job.status == 'queued' and job.origin and not redis.call('LPOS', key_queue(job.origin), id, 'MAXLEN', 1000) and
      not redis.call('LPOS', key_queue(job.origin), id, 'RANK', -1, 'MAXLEN', 1000) then
      push(job.origin, id, false)
      redis.call('SADD', k_queues, key_queue(job.origin))
      ring(job.origin)
    end
  end
  redis.call('LTRIM', key, 100, -1)
  left = redis.call('EXISTS', key) == 1
end

local function mend_execution()
  local id, execution = a_name:match('^(.*):([^:]*)$')
  local worker = redis.call('HGET', key_execution(id, execution), 'worker_name')
  close_execution('', id, execution, worker)
end

local function mend_holdings()
  if a_word == 'no_ttl' then
    redis.call('EXPIRE', key_worker_executions(a_name), 480)
    return
  end
  for _, execution in ipairs(lost_executions(a_name)) do redis.call('HDEL', key_worker_executions(a_name), execution) end
end

local function mend_container()
  local key = container_key(a_kind, a_name)
  if a_word == 'has_ttl' then redis.call('PERSIST', key) else redis.call('SADD', k_queues, key) end
end

local function mend_first_seen()
  local queue, id = a_name:match('^(.*):intermediate:first_seen:(.*)$')
  redis.call('DEL', key_first_seen(queue, id))
end

if a_kind == 'worker' then mend_worker()
elseif a_kind == 'dependents' then mend_dependents()
elseif a_kind == 'results' or a_kind == 'dependencies' or a_kind == 'unmet' or a_kind == 'executions' then mend_trace()
elseif a_kind == 'group' then mend_group()
elseif a_kind == 'compact' then mend_compact()
elseif a_kind == 'execution' then mend_execution()
elseif a_kind == 'worker_executions' then mend_holdings()
elseif a_kind == 'cleaning' then redis.call('DEL', key_cleaning(a_name))
elseif a_kind == 'first_seen' then mend_first_seen()
elseif a_kind == 'cron_member' then redis.call('ZREM', key_cron_schedulers(), a_name)
elseif a_word == 'no_ttl' then redis.call('EXPIRE', expiring_key(a_kind, a_name), a_kind == 'cron_history' and 31536000 or 120)
else mend_container() end
return left and 'more' or 'ok'
