-- finish: a running job ended well; its result is kept, its dependants go on, a repetition is planned
-- from: started
-- to: finished scheduled queued gone
-- keys: wip
-- args: queue id execution worker outcome result exception result_ttl:int failure_ttl:int started:int ended:int retry
-- says: ok already not_yours gone
-- cost: O(freed), at most 100 dependants a call
-- writes below
return finish_job({ queue = a_queue, id = a_id, execution = a_execution, worker = a_worker, result = a_result,
  result_ttl = a_result_ttl, started = a_started, ended = a_ended }, NOW)
