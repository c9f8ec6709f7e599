-- examine_jobs: a first look at jobs: a letter for each (. well, q said to be queued, ? to be looked at closely, - gone), and statuses counted
-- from: none
-- to: none
-- keys: queues
-- args: ids:list
-- says: ok
-- cost: O(ids)
local letters, counts = {}, {}

-- One without an end says nothing: as long as it lives, its execution has a hash.
local function runs_on(id, execution, lease)
  if lease == 'inf' then return redis.call('EXISTS', key_execution(id, execution)) == 1 end
  return tonumber(lease) * 1000 > NOW
end

local function is_leased(id, queue, execution)
  if is_set(execution) then
    local lease = redis.call('ZSCORE', key_wip(queue), id .. ':' .. execution)
    if lease then return runs_on(id, execution, lease) end
  end
  for _, other in ipairs(redis.call('ZRANGE', key_executions(id), 0, 9)) do
    local lease = redis.call('ZSCORE', key_wip(queue), id .. ':' .. other)
    if lease and runs_on(id, other, lease) then return true end
  end
  return false
end

-- One open dependency that knows of it is enough for it to get on.
local function may_hope(id, allow, after)
  if is_set(after) then return redis.call('HEXISTS', key_after(after), id) == 1 end
  local dependency = redis.call('SRANDMEMBER', key_unmet(id)) or redis.call('SRANDMEMBER', key_dependencies(id))
  if not dependency or is_met(dependency, is_set(allow)) then return false end
  local status = redis.call('HGET', key_job(dependency), 'status')
  return status ~= 'failed' and status ~= 'stopped' and status ~= 'canceled' and
    redis.call('SISMEMBER', key_dependents(dependency), id) == 1
end

-- Is it kept for as long as its registry says?
local function is_bounded(id, status, score, failure_ttl)
  if status == 'scheduled' or redis.call('PTTL', key_job(id)) >= 0 then return true end
  if status == 'canceled' then return (tonumber(failure_ttl or '') or 1) <= 0 end
  return score == '-1' or score == 'inf'
end

local function is_well(id, status, job)
  local queue, execution, group, allow = job[2], job[4], job[5], job[6]
  if redis.call('HEXISTS', key_job(id), 'data') == 0 or outside_group(id, group) then return false end
  if status == 'created' then return true end
  local container = container_of[status]
  if not container or not is_set(queue) or fades(id, status, job[3]) then return false end
  if status == 'started' then return is_leased(id, queue, execution) end
  local score = redis.call('ZSCORE', container_key(container, queue), id)
  if not score then return false end
  if status == 'deferred' then return may_hope(id, allow, job[8]) end
  return is_bounded(id, status, score, job[7])
end

for i, id in ipairs(a_ids) do
  local job = redis.pcall('HMGET', key_job(id), 'status', 'origin', 'ttl', 'execution', 'group_id', 'allow_dependency_failures',
    'failure_ttl', 'after')
  local status = job.err and 'no hash' or job[1] or 'created'
  if job.err or (not job[1] and redis.call('EXISTS', key_job(id)) == 0) then
    letters[i] = '-'
  else
    counts[status] = (counts[status] or 0) + 1
    letters[i] = status == 'queued' and 'q' or is_well(id, status, job) and '.' or '?'
  end
end
local flat = {}
for status, count in pairs(counts) do flat[#flat + 1], flat[#flat + 2] = status, count end
return { 'ok', table.concat(letters), flat }
