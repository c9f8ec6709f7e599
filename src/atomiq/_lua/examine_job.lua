-- examine_job: all that is wrong with some jobs, each looked at with everything it touches, at one instant
-- from: none
-- to: none
-- keys: queues
-- args: reach:int overdue:int overdue_rq:int jobs:list
-- says: ok
-- cost: O(jobs * (containers + dependencies)), and `reach` entries from both ends of the list of each
-- A job: id, number of hints, then container, queue and execution of each.
local reply, at = { 'ok' }, 1
while a_jobs[at] do
  local hints = {}
  for i = 1, 3 * a_jobs[at + 1] do hints[i] = a_jobs[at + 1 + i] end
  local job = diagnose(a_jobs[at], hints, a_reach, a_overdue, a_overdue_rq, NOW)
  at = at + 2 + #hints
  local row = { job.id, job.status or '', job.origin or '', job.witness }
  for _, found in ipairs(job.faults) do
    local place = found.place or {}
    local last = #row
    row[last + 1], row[last + 2], row[last + 3], row[last + 4] = found.word, place.container or '', place.queue or '', place.execution or ''
    row[last + 5] = found.detail
  end
  reply[#reply + 1] = row
end
return reply
