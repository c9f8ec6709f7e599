-- reap: executions whose lease is over: run again, or fail as poison or by policy
-- from: started queued
-- to: queued scheduled failed stopped gone
-- keys: wip
-- args: queue max_abandoned:int policy limit:int failure_ttl:int poison_text abandoned_text stopped_text
-- says: ok
-- cost: O(limit log wip); O(queue) for one that RQ's worker had not started yet
-- writes below
local over = redis.call('ZRANGEBYSCORE', k_wip, '-inf', seconds(NOW), 'LIMIT', 0, a_limit)
local ids, dropped = { requeued = {}, retried = {}, failed = {} }, 0
local rules = { queue = a_queue, policy = a_policy, max_abandoned = a_max_abandoned, failure_ttl = a_failure_ttl,
  abandoned = a_abandoned_text, poison = a_poison_text }

for _, member in ipairs(over) do
  local id, execution = member:match('^(.*):([^:]*)$')
  if not id then id, execution = member, '' end -- RQ before 2.0 listed the job alone
  local job = fields_of(key_job(id), 'status', 'execution', 'worker_name', 'abandoned', 'on_abandoned', 'failure_ttl',
    'enqueue_at_front_on_retry', 'data', 'origin')
  local opened = fields_of(key_execution(id, execution), 'worker_name', 'stop')
  close_execution(a_queue, id, execution, opened.worker_name or job.worker_name)
  redis.call('ZREM', k_wip, member)
  -- RQ opens the execution before its work horse says that the job has started. A worker that died in between leaves it queued, in
  -- no queue; or in the intermediate list, of which recover_stuck takes care.
  local lost = job.status == 'queued' and job.data and job.origin == a_queue and not redis.call('LPOS', key_queue(a_queue), id) and
    not redis.call('LPOS', key_intermediate(a_queue), id)
  if (job.status == 'started' or lost) and not runs_elsewhere(id, execution, job.execution, a_queue) then
    local list = ids[settle_abandoned(id, execution, job, rules, opened.stop and a_stopped_text, NOW)]
    list[#list + 1] = id
  else
    if not job.status then forget(id, NOW) end
    dropped = dropped + 1
  end
end
return { 'ok', ids.requeued, ids.retried, ids.failed, dropped, #over == a_limit and 1 or 0 }
