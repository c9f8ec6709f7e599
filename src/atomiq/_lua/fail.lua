-- fail: a running job raised, was killed or stopped, or asked to be run again
-- from: started
-- to: failed stopped scheduled queued gone
-- keys: wip
-- args: queue id execution worker outcome value ttl:int started started_at ended ended_at retry tally
-- says: ok already not_yours gone
-- cost: O(freed), at most 100 dependants a call
local full = a_tally ~= ''
-- writes below
if full then count_tally(a_worker, a_execution, a_tally) end
local word, status, freed, more = fail_job({ queue = a_queue, id = a_id, execution = a_execution, worker = a_worker,
  outcome = a_outcome, value = a_value, ttl = a_ttl, started = a_started, started_at = a_started_at, ended = a_ended,
  ended_at = a_ended_at, retry = a_retry, full = full }, NOW)
if word == 'ok' then put_down(a_worker, a_execution, a_id) end
return { word, status, freed, more }
