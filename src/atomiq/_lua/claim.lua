-- claim: up to one job for each given execution id, queues in order of priority; due jobs are promoted on the way
-- from: queued scheduled
-- to: started queued
-- keys: worker
-- args: worker lease:int pass_on:int wanted:int rest:list
-- says: ok empty suspended
-- cost: O(queues + jobs + promoted), each bounded by 100 a call
local executions, queues = {}, {}
for i = 1, a_wanted do executions[i] = a_rest[i] end
for i = a_wanted + 1, #a_rest do queues[#queues + 1] = a_rest[i] end
-- writes below
return claim_jobs(a_worker, a_lease, executions, queues, a_pass_on == 1, NOW)
