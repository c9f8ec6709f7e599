-- drop_executions: executions of a job closed by hand, unsettled (RQ's Execution.delete, remove_executions); a job that runs nowhere then is queued in front
-- from: started
-- to: queued
-- keys: job
-- args: id queue execution
-- says: ok
-- cost: O(executions), one as a rule
-- `execution`: empty for all of them.
local job = fields_of(k_job, 'status', 'origin', 'execution', 'worker_name', 'ttl')
-- writes below
local queue, removed = job.origin or a_queue, 0
local executions = { a_execution }
if a_execution == '' then
  executions = redis.call('ZRANGE', key_executions(a_id), 0, -1)
  if is_set(job.execution) then executions[#executions + 1] = job.execution end
end
for _, execution in ipairs(executions) do
  if redis.call('ZSCORE', key_wip(queue), a_id .. ':' .. execution) then removed = removed + 1 end
  close_execution(queue, a_id, execution, redis.call('HGET', key_execution(a_id, execution), 'worker_name') or job.worker_name)
end
if removed > 0 and job.status == 'started' and not runs_elsewhere(a_id, '', job.execution, queue) then
  redis.call('HSET', k_job, 'execution', '', 'worker_name', '')
  put(a_id, queue, nil, true, NOW)
  local ttl = tonumber(job.ttl or '')
  if ttl and ttl > 0 then keep_for(k_job, ttl) end
end
return { 'ok', removed }
