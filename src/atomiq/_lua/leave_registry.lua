-- leave_registry: a job out of a registry by hand (RQ's registry.remove): it is then in no container, its status created; or it is deleted
-- from: created queued deferred scheduled started finished failed stopped canceled
-- to: created gone
-- keys: job
-- args: id registry queue status delete:flag
-- says: ok
-- cost: O(log registry); to delete: as delete
-- `status`: that of the jobs of this registry. One that is somewhere else by now stays there, and only the id goes.
local job = fields_of(k_job, 'status', 'origin', 'group_id')
-- writes below
local removed = redis.call('ZREM', a_registry, a_id)
if a_delete then
  if not job.status then
    forget(a_id, NOW)
    return { 'ok', removed, 0 }
  end
  erase(a_id, job.status, job.origin or a_queue, NOW)
  redis.call('DEL', key_executions(a_id))
  return { 'ok', removed, 1 }
end
local is = job.status == 'stopped' and 'failed' or job.status
if removed == 1 and job.status and is == a_status and job.origin == a_queue then
  leave(a_id, job.status, job.origin)
  redis.call('HSET', k_job, 'status', 'created')
  if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
end
return { 'ok', removed, job.status and 1 or 0 }
