-- extend: move the end of the leases a worker holds, and say which of them it has lost or must stop
-- from: started
-- to: started
-- keys: worker
-- args: worker lease:int worker_ttl:int working:int state held:list
-- says: ok
-- cost: O(held log wip)
-- writes below
even_without_memory()
local lost, stop, shown = {}, {}, nil
local now_seconds, now_iso, kept = seconds(NOW), iso(NOW), a_lease + 60000

local function extend_one(queue, id, execution)
  local key = key_execution(id, execution)
  redis.call('ZADD', key_wip(queue), lease_end(a_lease, NOW), id .. ':' .. execution)
  redis.call('HSET', key, 'id', execution, 'last_heartbeat', now_seconds, 'worker_name', a_worker)
  redis.call('HSETNX', key, 'created_at', now_seconds)
  local stopping = redis.call('HEXISTS', key, 'stop') == 1
  if stopping then stop[#stop + 1] = execution else redis.call('PEXPIRE', key, kept) end
  redis.call('ZADD', key_executions(id), traces_end(a_lease, NOW), execution)
  redis.call('PEXPIRE', key_executions(id), kept)
  redis.call('HSET', key_job(id), 'last_heartbeat', now_iso)
  redis.call('HSET', key_worker_executions(a_worker), execution, id)
end

for i = 1, #a_held, 3 do
  local queue, id, execution = a_held[i], a_held[i + 1], a_held[i + 2]
  local job = fields_of(key_job(id), 'status', 'execution')
  if job.status == 'started' and job.execution == execution and
    redis.call('ZSCORE', key_wip(queue), id .. ':' .. execution) then
    extend_one(queue, id, execution)
    shown = shown or id
  else
    close_execution(queue, id, execution, a_worker)
    lost[#lost + 1] = execution
  end
end
redis.call('PEXPIRE', key_worker_executions(a_worker), kept)
local there = redis.call('EXISTS', k_worker)
if there == 1 then
  redis.call('HSET', k_worker, 'last_heartbeat', now_iso, 'beat', NOW)
  -- All that it believes to hold may have ended a moment ago: then it rests, and nothing would say so again.
  if shown then
    redis.call('HSET', k_worker, 'current_job_working_time', seconds(a_working))
    redis.call('HSETNX', k_worker, 'current_job', shown)
    if a_state ~= '' then redis.call('HSET', k_worker, 'state', a_state) end
  end
  redis.call('EXPIRE', k_worker, a_worker_ttl)
end
return { 'ok', NOW, 1 - there, lost, stop }
