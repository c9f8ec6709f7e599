-- What stands beside the jobs: traces of them, workers, groups, locks. Is each of a kind what it has to be? Nothing here writes.

local function trace_key(kind, name)
  if kind == 'results' then return key_results(name) end
  if kind == 'dependents' then return key_dependents(name) end
  if kind == 'dependencies' then return key_dependencies(name) end
  if kind == 'unmet' then return key_unmet(name) end
  return key_executions(name)
end

-- Some of those that wait for a job, and don't, as far as they know themselves.
local function strangers_of(parent, limit)
  local strangers = {}
  for _, id in ipairs(redis.call('SRANDMEMBER', key_dependents(parent), limit)) do
    local status = redis.call('HGET', key_job(id), 'status')
    if status ~= 'deferred' then strangers[#strangers + 1] = { id, status } end
  end
  return strangers
end

local function judge_dependents(id)
  if redis.call('HEXISTS', key_freeing(), id) == 1 then return '' end
  local left = redis.call('PTTL', key_dependents(id))
  if left == -2 then return '' end
  if redis.call('EXISTS', key_job(id)) == 0 then return left >= 0 and 'leftover' or 'no_job' end
  local expired = false
  for _, stranger in ipairs(strangers_of(id, 10)) do
    if stranger[2] then return 'stale' end
    expired = true
  end
  return expired and 'leftover' or ''
end

-- results, dependencies, unmet and executions of a job.
local function judge_trace(kind, id)
  local key = trace_key(kind, id)
  local left = redis.call('PTTL', key)
  if left == -2 then return '' end
  local status = redis.call('HGET', key_job(id), 'status')
  if not status and redis.call('EXISTS', key_job(id)) == 0 then return left >= 0 and 'leftover' or 'no_job' end
  if kind == 'dependencies' then return '' end
  if kind == 'results' then
    local ended = status == 'finished' or status == 'failed' or status == 'stopped' or status == 'canceled'
    return left < 0 and ended and redis.call('PTTL', key_job(id)) >= 0 and 'no_ttl' or ''
  end
  if left < 0 then return 'no_ttl' end
  if kind == 'unmet' then return status == 'deferred' and '' or 'leftover' end
  return (status == 'started' or status == 'queued') and '' or 'leftover'
end

-- Is `id:execution` on the list of what runs?
local function has_lease(id, execution)
  local queue = redis.call('HGET', key_job(id), 'origin')
  return queue and redis.call('ZSCORE', key_wip(queue), id .. ':' .. execution)
end

local function judge_execution(name)
  local id, execution = name:match('^(.*):([^:]*)$')
  local left = redis.call('PTTL', key_execution(id, execution))
  if left == -2 or has_lease(id, execution) then return '' end
  return left >= 0 and 'leftover' or 'stale'
end

-- Executions that a worker is said to hold, and that nobody holds.
local function lost_executions(worker)
  local held, lost = redis.call('HSCAN', key_worker_executions(worker), 0, 'COUNT', 100)[2], {}
  for i = 1, #held, 2 do
    if not has_lease(held[i + 1], held[i]) then lost[#lost + 1] = held[i] end
  end
  return lost
end

-- A worker of RQ's that is silent vanishes by itself; ours has said when it is to be missed.
local function judge_worker(name, now)
  local worker = fields_of(key_worker(name), 'birth', 'death', 'beat', 'lease')
  if redis.call('EXISTS', key_worker(name)) == 0 then return 'dead' end
  if worker.death then return redis.call('SISMEMBER', key_workers(), key_worker(name)) == 1 and 'dead' or '' end
  local beat, lease = tonumber(worker.beat or ''), tonumber(worker.lease or '') or 0
  if beat and beat + math.max(3 * lease, 60000) < now then return 'silent' end
  if redis.call('PTTL', key_worker(name)) < 0 then return 'no_ttl' end
  if worker.birth and redis.call('SISMEMBER', key_workers(), key_worker(name)) == 0 then return 'unlisted' end
  return ''
end

local function judge_group(name)
  if redis.call('EXISTS', key_group(name)) == 0 then
    return redis.call('SISMEMBER', key_groups(), name) == 1 and 'leftover' or ''
  end
  if redis.call('SISMEMBER', key_groups(), name) == 0 then return 'unlisted' end
  for _, id in ipairs(redis.call('SRANDMEMBER', key_group(name), 10)) do
    if redis.call('EXISTS', key_job(id)) == 0 then return 'leftover' end
  end
  return ''
end

-- What keeps RQ's maintenance away from a queue, for a quarter of an hour if the one who locked it died.
local function judge_lock(queue)
  local left = redis.call('PTTL', key_cleaning(queue))
  return left ~= -2 and (left < 0 or left < 839000) and 'stale' or ''
end

local function judge_first_seen(name)
  local queue, id = name:match('^(.*):intermediate:first_seen:(.*)$')
  if redis.call('EXISTS', key_first_seen(queue, id)) == 0 then return '' end
  return redis.call('LPOS', key_intermediate(queue), id, 'MAXLEN', 10000) and '' or 'leftover'
end

local function judge_container(kind, queue)
  local key = container_key(kind, queue)
  local left = redis.call('PTTL', key)
  if left >= 0 then return 'has_ttl' end
  local unlisted = left ~= -2 and kind == 'queue' and redis.call('SISMEMBER', key_queues(), key) == 0
  return unlisted and 'unlisted' or ''
end

local function expiring_key(kind, name)
  if kind == 'turn' then return key_turn(name) end
  if kind == 'scheduler' then return key_scheduler(name) end
  if kind == 'scheduler_lock' then return key_scheduler_lock(name) end
  if kind == 'cron_scheduler' then return key_cron_scheduler(name) end
  return key_cron_history(name)
end

-- What is wrong with a thing, in a word; nothing for what is well.
local function judge(kind, name, now)
  if kind == 'worker' then return judge_worker(name, now) end
  if kind == 'dependents' then return judge_dependents(name) end
  if kind == 'execution' then return judge_execution(name) end
  if kind == 'worker_executions' then
    if redis.call('PTTL', key_worker_executions(name)) == -1 then return 'no_ttl' end
    return #lost_executions(name) > 0 and 'stale' or ''
  end
  if kind == 'group' then return judge_group(name) end
  if kind == 'cleaning' then return judge_lock(name) end
  if kind == 'first_seen' then return judge_first_seen(name) end
  if kind == 'compact' then return redis.call('EXISTS', key_queue(name)) == 1 and 'stale' or '' end
  if kind == 'cron_member' then
    local seen = tonumber(redis.call('ZSCORE', key_cron_schedulers(), name) or '')
    return seen and seen * 1000 + 120000 < now and redis.call('EXISTS', key_cron_scheduler(name)) == 0 and 'dead' or ''
  end
  if kind == 'turn' or kind == 'scheduler' or kind == 'scheduler_lock' or kind == 'cron_scheduler' or kind == 'cron_history' then
    return redis.call('PTTL', expiring_key(kind, name)) == -1 and 'no_ttl' or ''
  end
  if kind == 'results' or kind == 'dependencies' or kind == 'unmet' or kind == 'executions' then return judge_trace(kind, name) end
  return judge_container(kind, name)
end
