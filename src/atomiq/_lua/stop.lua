-- stop: ask for a running job to be stopped; kept with its execution, so that a worker that isn't listening learns of it too
-- from: started
-- to: started
-- keys: job
-- args: id
-- says: ok already not_running gone
-- cost: O(executions of the job), one as a rule
local job = fields_of(k_job, 'status', 'execution', 'worker_name')
if not job.status then return { 'gone', '', 0 } end
if job.status ~= 'started' then return { 'not_running', job.status, 0 } end
-- writes below
even_without_memory()
local open = redis.call('ZRANGE', key_executions(a_id), 0, -1)
if #open == 0 and is_set(job.execution) then open = { job.execution } end
local asked, heard = 0, 0
for _, execution in ipairs(open) do
  local key = key_execution(a_id, execution)
  local worker = redis.call('HGET', key, 'worker_name') or job.worker_name
  -- The hash of an execution that nobody extends expires; the wish must still be there when it is reaped, or its owner is back.
  if redis.call('HSETNX', key, 'stop', NOW) == 1 then
    redis.call('EXPIRE', key, 86400)
    asked = asked + 1
  end
  if is_set(worker) then
    heard = heard + redis.call('PUBLISH', key_pubsub(worker), cjson.encode({ command = 'stop-job', job_id = a_id }))
  end
end
return { asked > 0 and 'ok' or 'already', job.status, heard }
