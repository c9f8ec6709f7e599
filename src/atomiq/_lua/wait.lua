-- wait: what a job requires is not there yet; it waits in the schedule, and neither an attempt nor a retry is counted
-- from: started
-- to: scheduled queued
-- keys: wip
-- args: queue id execution worker waits delay:int tally
-- says: ok already not_yours gone
-- cost: O(log scheduled)
-- writes below
if a_tally ~= '' then count_tally(a_worker, a_execution, a_tally) end
local word, status, freed, more = wait_job(a_queue, a_id, a_execution, a_worker, a_waits, a_delay, NOW)
if word == 'ok' then put_down(a_worker, a_execution, a_id) end
return { word, status, freed, more }
