-- begin_job: start a stored job here and now, past its queue (RQ's is_async=False); the caller owns the execution
-- from: created queued deferred scheduled finished failed stopped canceled
-- to: started
-- keys: job
-- args: id worker execution lease:int
-- says: ok already busy gone
-- cost: O(1); O(queue) for a job that waits in a queue
local job = fields_of(k_job, 'status', 'origin', 'data', 'attempts', 'group_id')
if not job.data or not job.origin then return { 'gone', NOW } end
if job.status == 'started' then
  local mine = redis.call('ZSCORE', key_wip(job.origin), a_id .. ':' .. a_execution)
  return { mine and 'already' or 'busy', NOW }
end
-- writes below
leave(a_id, job.status, job.origin)
if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
redis.call('SADD', key_queues(), key_queue(job.origin))
open_execution(job.origin, a_id, a_execution, a_worker, a_lease, (tonumber(job.attempts or '') or 0) + 1, NOW)
redis.call('PERSIST', k_job)
redis.call('PEXPIRE', key_worker_executions(a_worker), a_lease + 60000)
return { 'ok', NOW }
