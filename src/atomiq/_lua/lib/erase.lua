-- A job and everything that is kept about it.

-- `status` false: the job is in no container any more. Dependants learn that it will never finish, `limit` (100) of them at once. One
-- that has finished keeps its word: RQ lists with it who waits for others only.
local function erase(id, status, queue, now, limit)
  if status then leave(id, status, queue) end
  local job = fields_of(key_job(id), 'group_id', 'status')
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id))
  if is_group(job.group_id) then member_gone(job.group_id, id, now) end
  return end_dependants(id, job.status == 'finished' and 'finished' or 'deleted', now, limit)
end

-- An id without a job (its hash has expired, or never had any data) was met in a container. What is left of it goes, and its
-- dependants must not wait for ever. `how` it ended: deleted, unless the container says better.
local function forget(id, now, how)
  unregister(id)
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id))
  end_dependants(id, how or 'deleted', now)
end

-- Delete up to `limit` dependants of a job that is deleted together with those that wait for it. Theirs only learn of it, and few at
-- once. What is left over is noted, as in free_dependants.
local function remove_dependants(parent, limit, now)
  local ids = redis.call('SPOP', key_dependents(parent), limit)
  for _, id in ipairs(ids) do
    local job = fields_of(key_job(id), 'status', 'origin')
    if job.status then erase(id, job.status, job.origin or '', now, 10) end
  end
  if redis.call('EXISTS', key_dependents(parent)) == 0 then
    redis.call('HDEL', key_freeing(), parent)
    return #ids, 0
  end
  redis.call('HSET', key_freeing(), parent, 'removed')
  return #ids, 1
end

-- Go on with the dependants of a job that the freeing hash names.
local function go_on(parent, note, limit, now)
  if note == 'removed' then return remove_dependants(parent, limit, now) end
  return free_dependants(parent, note, limit, now)
end

-- A job is about to be put anew: nobody who will wait for its next run may be taken for a dependant of the last one. Rare, and so
-- the one place with a larger bound.
local function settle_dependants(id, now)
  local note = redis.call('HGET', key_freeing(), id)
  if note then go_on(id, note, note == 'removed' and 1000 or 10000, now) end
end
