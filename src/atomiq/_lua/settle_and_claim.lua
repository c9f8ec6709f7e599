-- settle_and_claim: finish or fail one job, or let it wait, and take the next, in one round trip
-- from: started queued scheduled
-- to: finished failed stopped scheduled queued started gone
-- keys: wip
-- args: queue id execution worker outcome value ttl:int started started_at ended ended_at retry tally lease:int pass_on:flag wanted:int executions:some queues:list
-- says: ok already not_yours gone empty suspended
-- cost: O(queues + jobs + promoted + freed), each bounded by 100 a call
-- What is rare and has to be known, in one look: dependants, dependencies, a worker or queue that is to take nothing.
local common = redis.call('EXISTS', key_dependents(a_id), key_dependencies(a_id), key_suspended(), key_paused()) == 0
local full = a_tally ~= ''
hint_iso(a_ended, a_ended_at)
-- writes below
if full then count_tally(a_worker, a_execution, a_tally) end
local word, status, freed, more
if a_outcome == 'finished' then
  word, status, freed, more = finish_job(a_queue, a_id, a_execution, a_worker, a_value, a_ttl, a_started, a_started_at, a_ended,
    a_ended_at, full, common)
elseif a_outcome == 'waiting' then
  word, status, freed, more = rare('wait_job')(a_queue, a_id, a_execution, a_worker, a_value, a_retry + 0, clock())
else
  word, status, freed, more = rare('fail_job')({ queue = a_queue, id = a_id, execution = a_execution, worker = a_worker,
    outcome = a_outcome, value = a_value, ttl = a_ttl, started = a_started, started_at = a_started_at, ended = a_ended,
    ended_at = a_ended_at, retry = a_retry, full = full }, clock())
end
local reply = claim_jobs(a_worker, a_lease, a_executions, a_queues, a_pass_on, full, clock(), word == 'ok' and a_execution, common)
-- Last comes what the settlement says; most say no more than the status.
reply[#reply + 1] = word == 'ok' and freed == 0 and more == 0 and status or { word, status, freed, more }
return reply
