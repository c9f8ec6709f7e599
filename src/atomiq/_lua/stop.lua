-- stop: ask for a running job to be stopped; kept with its execution, so that a worker that isn't listening learns of it too
-- from: started
-- to: started
-- keys: job
-- args: id
-- says: ok already not_running gone
-- cost: O(executions of the job), one as a rule
local status = redis.call('HGET', k_job, 'status')
if not status then return { 'gone', '', 0 } end
if status ~= 'started' then return { 'not_running', status, 0 } end
-- writes below
local asked, heard = 0, 0
for _, execution in ipairs(redis.call('ZRANGE', key_executions(a_id), 0, -1)) do
  local key = key_execution(a_id, execution)
  local worker = redis.call('HGET', key, 'worker_name')
  if worker then
    asked = asked + redis.call('HSETNX', key, 'stop', NOW)
    heard = heard + redis.call('PUBLISH', key_pubsub(worker), cjson.encode({ command = 'stop-job', job_id = a_id }))
  end
end
return { asked > 0 and 'ok' or 'already', status, heard }
