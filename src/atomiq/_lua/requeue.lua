-- requeue: a job that has ended, or waits elsewhere, into its queue once more
-- from: finished failed stopped canceled deferred scheduled
-- to: queued
-- keys: job
-- args: id registry front:int since token
-- says: ok already busy not_there gone
-- cost: O(log registry + dependencies); what is left to free of dependants of the last run, at most 10,000
local job = fields_of(k_job, 'status', 'origin', 'data', 'ttl', 'group_id', 'enqueued_at', 'changed')
if not job.status or not job.data then return { 'gone', '', 0 } end
-- This very call was carried out before, and its reply was lost.
if a_token ~= '' and job.changed == a_token then return { 'ok', job.status, 0 } end
if job.status == 'started' then return { 'busy', job.status, 0 } end
if job.status == 'queued' then return { 'already', job.status, 0 } end
if job.status == 'created' or not job.origin then return { 'not_there', job.status, 0 } end
if a_registry ~= '' and not redis.call('ZSCORE', a_registry, a_id) then return { 'not_there', job.status, 0 } end
-- Put back since then, and ended anew. A time that has not come is the clock of somebody who is ahead, and says nothing.
if a_since ~= '' and job.enqueued_at and job.enqueued_at >= a_since and job.enqueued_at <= iso(NOW) then
  return { 'already', job.status, 0 }
end
-- writes below
settle_dependants(a_id, NOW)
leave(a_id, job.status, job.origin)
redis.call('HSET', k_job, 'started_at', '', 'ended_at', '')
if a_token ~= '' then redis.call('HSET', k_job, 'changed', a_token) end
redis.call('HDEL', k_job, 'exc_info', 'due', 'after', 'abandoned', 'last_death')
if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
redis.call('PERSIST', k_job)
put(a_id, job.origin, nil, a_front == 1, NOW)
local ttl = tonumber(job.ttl or '')
if ttl and ttl > 0 then keep_for(k_job, ttl) end
return { 'ok', job.status, 0 }
