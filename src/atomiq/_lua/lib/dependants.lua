-- Who waits for whom. The rule of when a dependency is met is here and nowhere else.

-- A dependency that doesn't exist counts as met (RQ's rule: it finished and expired).
local function is_met(dependency, allow_failure)
  local status = redis.call('HGET', key_job(dependency), 'status')
  if not status or status == 'finished' then return true end
  return allow_failure and (status == 'failed' or status == 'stopped')
end

-- RQ's workers don't know this list, and leave it behind when they free the job. Made anew where it is missing, it may go.
local function bound_unmet(id)
  redis.call('EXPIRE', key_unmet(id), 31536000)
end

-- Jobs deferred by RQ have no list of what they still wait for; theirs is made from RQ's set. Says whether it had to be made. RQ names
-- them also with those that had ended before.
local function list_unmet(id, allow_failure)
  if redis.call('EXISTS', key_unmet(id)) == 1 then return false end
  for _, dependency in ipairs(redis.call('SMEMBERS', key_dependencies(id))) do
    if dependency == id or is_met(dependency, allow_failure) then
      redis.call('SREM', key_dependents(dependency), id)
    else
      redis.call('SADD', key_unmet(id), dependency)
      redis.call('SADD', key_dependents(dependency), id)
    end
  end
  bound_unmet(id)
  return true
end

-- Was the dependency deleted, with more dependants than one step reaches? Then this one, too, will hear of it.
local function is_lost(dependency, allow_failure)
  local note = not allow_failure and redis.call('HGET', key_freeing(), dependency)
  return note == 'deleted' or note == 'removed'
end

-- Does the job still wait? Looks at one open dependency at a time and strikes off what is met, so that all looks together cost no
-- more than the number of dependencies.
local function still_waits(id, allow_failure)
  while true do
    local dependency = redis.call('SRANDMEMBER', key_unmet(id))
    if not dependency then return false end
    if not is_met(dependency, allow_failure) or is_lost(dependency, allow_failure) then return true end
    redis.call('SREM', key_unmet(id), dependency)
    redis.call('SREM', key_dependents(dependency), id)
  end
end

-- One dependant of a job that has ended. `how`: finished, failed, canceled (its dependants were asked for) or deleted.
-- Says whether the dependant has nothing more to expect from this job, and 1 if it moved.
local function free_one(id, parent, how, now)
  local job = fields_of(key_job(id), 'status', 'origin', 'allow_dependency_failures', 'enqueue_at_front', 'due')
  if job.status ~= 'deferred' or not job.origin then return true, 0 end
  local allow_failure = is_set(job.allow_dependency_failures)
  if how == 'failed' and not allow_failure then return false, 0 end
  if redis.call('SREM', key_unmet(id), parent) == 0 then
    if not list_unmet(id, allow_failure) then
      -- One that was put anew, under the same id, waits for others by now.
      if redis.call('SISMEMBER', key_dependencies(id), parent) == 0 then return true, 0 end
      -- RQ put it anew, and what we listed belongs to its last stay.
      redis.call('DEL', key_unmet(id))
      list_unmet(id, allow_failure)
    end
    redis.call('SREM', key_unmet(id), parent)
  end
  if how == 'deleted' and not allow_failure then
    leave(id, 'deferred', job.origin)
    put_canceled(id, job.origin, now)
    return true, 1
  end
  if still_waits(id, allow_failure) then return true, 0 end
  redis.call('ZREM', key_deferred(job.origin), id) -- all that leave() does, as it is named with nobody any more
  put(id, job.origin, number_of(job.due, 0), is_set(job.enqueue_at_front), now)
  return true, 1
end

-- Free up to `limit` dependants of a job that has ended. What is left over is noted in the freeing hash, so that whoever comes by
-- goes on with it; nothing waits for the process that ended the job. Says (freed, 1 if more are left).
local function free_dependants(parent, how, limit, now)
  local waiting = key_dependents(parent)
  local freed = 0
  local note, cursor = how:match('^(%a+):(%d+)$')
  how = note or how
  if how == 'failed' then
    local page = redis.call('SSCAN', waiting, cursor or '0', 'COUNT', limit)
    for _, id in ipairs(page[2]) do
      local done, count = free_one(id, parent, how, now)
      freed = freed + count
      if done then redis.call('SREM', waiting, id) end
    end
    if page[1] == '0' then
      redis.call('HDEL', key_freeing(), parent)
      return freed, 0
    end
    redis.call('HSET', key_freeing(), parent, 'failed:' .. page[1])
    return freed, 1
  end
  for _, id in ipairs(redis.call('SPOP', waiting, limit)) do
    local _, count = free_one(id, parent, how, now)
    freed = freed + count
  end
  if redis.call('EXISTS', waiting) == 0 then
    redis.call('HDEL', key_freeing(), parent)
    return freed, 0
  end
  redis.call('HSET', key_freeing(), parent, how)
  return freed, 1
end

-- A job has ended: free its first dependants. One that ended well before (and ran again, or was deleted since) owes the rest of
-- the dependants of that time what was promised to them. `limit` 0: the caller sees to them.
local function end_dependants(id, how, now, limit)
  if limit == 0 or redis.call('EXISTS', key_dependents(id)) == 0 then return 0, 0 end
  drop_foreign(key_dependents(id), 'SCARD')
  local note = redis.call('HGET', key_freeing(), id)
  if note == 'finished' or note == 'canceled' then how = note end
  return free_dependants(id, how, limit or 100, now)
end
