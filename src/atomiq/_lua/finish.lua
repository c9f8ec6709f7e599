-- finish: a running job ended well; its result is kept, its dependants go on, a repetition is planned
-- from: started
-- to: finished scheduled queued gone
-- keys: wip
-- args: queue id execution worker outcome value ttl:int started started_at ended ended_at retry tally
-- says: ok already not_yours gone
-- cost: O(freed), at most 100 dependants a call
local alone = redis.call('EXISTS', key_dependents(a_id), key_dependencies(a_id)) == 0
local full = a_tally ~= ''
-- writes below
if full then count_tally(a_worker, a_execution, a_tally) end
local word, status, freed, more = finish_job(a_queue, a_id, a_execution, a_worker, a_value, a_ttl, a_started, a_started_at,
  a_ended, a_ended_at, full, alone)
if word == 'ok' then put_down(a_worker, a_execution, a_id) end
return { word, status, freed, more }
