-- claim: up to one job for each given execution id, queues in order of priority; a full call promotes due jobs on the way
-- from: queued scheduled
-- to: started queued
-- keys: worker
-- args: worker tally lease:int pass_on:flag wanted:int executions:some queues:list
-- says: ok empty suspended
-- cost: O(queues + jobs + promoted), each bounded by 100 a call
local open = redis.call('EXISTS', key_suspended(), key_paused()) == 0
local full = a_tally ~= ''
-- writes below
if full then count_tally(a_worker, 'claim:' .. a_executions[1], a_tally) end
return claim_jobs(a_worker, a_lease, a_executions, a_queues, a_pass_on, full, NOW, false, open)
