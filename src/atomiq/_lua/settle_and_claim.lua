-- settle_and_claim: finish or fail one job and take the next, in one round trip
-- from: started queued scheduled
-- to: finished failed stopped scheduled queued started gone
-- keys: wip
-- args: queue id execution worker outcome result exception result_ttl:int failure_ttl:int started:int ended:int retry lease:int pass_on:int wanted:int rest:list
-- says: ok already not_yours gone empty suspended
-- cost: O(queues + jobs + promoted + freed), each bounded by 100 a call
local executions, queues = {}, {}
for i = 1, a_wanted do executions[i] = a_rest[i] end
for i = a_wanted + 1, #a_rest do queues[#queues + 1] = a_rest[i] end
local s = { queue = a_queue, id = a_id, execution = a_execution, worker = a_worker, outcome = a_outcome, result = a_result,
  exception = a_exception, result_ttl = a_result_ttl, failure_ttl = a_failure_ttl, started = a_started, ended = a_ended,
  retry = a_retry }
-- writes below
local settled = a_outcome == 'finished' and finish_job(s, NOW) or fail_job(s, NOW)
return { settled[1], settled[2], settled[3], settled[4],
  claim_jobs(a_worker, a_lease, executions, queues, a_pass_on == 1, NOW) }
