-- A job and everything that is kept about it.

-- `status` false: the job is in no container any more. Dependants learn that it will never finish.
local function erase(id, status, queue, now)
  if status then leave(id, status, queue) end
  local group = redis.call('HGET', key_job(id), 'group_id')
  if group and group ~= '' then redis.call('SREM', key_group(group), id) end
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id), key_unmet(id))
  if redis.call('EXISTS', key_dependents(id)) == 1 then free_dependants(id, 'deleted', 100, now) end
end

-- An id whose hash has expired was met in a container: its dependants must not wait for ever.
local function forget(id, now)
  redis.call('DEL', key_dependencies(id), key_unmet(id))
  if redis.call('EXISTS', key_dependents(id)) == 1 then free_dependants(id, 'deleted', 100, now) end
end
