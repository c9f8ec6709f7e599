-- beat_execution: an execution that is open lives for another while, by hand (RQ's Execution.heartbeat and Execution.save)
-- from: started
-- to: started
-- keys: wip execution executions
-- args: id execution worker lease:int
-- says: ok gone
-- cost: O(log wip)
-- One that is over is not brought back.
local member = a_id .. ':' .. a_execution
if not redis.call('ZSCORE', k_wip, member) then return { 'gone', 0 } end
-- writes below
even_without_memory()
redis.call('HSET', k_execution, 'id', a_execution, 'last_heartbeat', moment(NOW))
redis.call('HSETNX', k_execution, 'created_at', moment(NOW))
redis.call('HSETNX', k_execution, 'worker_name', a_worker)
redis.call('PEXPIRE', k_execution, a_lease + 60000)
redis.call('ZADD', k_executions, end_of(a_lease / 1000 + 60, NOW), a_execution)
redis.call('PEXPIRE', k_executions, a_lease + 60000)
redis.call('ZADD', k_wip, lease_end(a_lease, NOW), member)
return { 'ok', NOW }
