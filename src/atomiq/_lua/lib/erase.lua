-- A job and everything that is kept about it.

-- `status` false: the job is in no container any more. Dependants learn that it will never finish.
local function erase(id, status, queue, now)
  if status then leave(id, status, queue) end
  local group = redis.call('HGET', key_job(id), 'group_id')
  if is_set(group) then redis.call('SREM', key_group(group), id) end
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id))
  return end_dependants(id, 'deleted', now)
end

-- An id without a job (its hash has expired, or never had any data) was met in a container. What is left of it goes, and its
-- dependants must not wait for ever.
local function forget(id, now)
  unregister(id)
  redis.call('DEL', key_job(id), key_dependencies(id), key_results(id))
  end_dependants(id, 'deleted', now)
end
