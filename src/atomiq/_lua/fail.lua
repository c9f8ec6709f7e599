-- fail: a running job raised, was killed or stopped, or asked to be run again
-- from: started
-- to: failed stopped scheduled queued gone
-- keys: wip
-- args: queue id execution worker outcome result exception result_ttl:int failure_ttl:int started:int ended:int retry
-- says: ok already not_yours gone
-- cost: O(freed), at most 100 dependants a call
-- writes below
return fail_job({ queue = a_queue, id = a_id, execution = a_execution, worker = a_worker, outcome = a_outcome,
  result = a_result, exception = a_exception, failure_ttl = a_failure_ttl, started = a_started, ended = a_ended,
  retry = a_retry }, NOW)
