-- enqueue_dependents: those go on that waited for a job which somebody says has ended (RQ's Queue.enqueue_dependents)
-- from: deferred
-- to: queued scheduled
-- keys: job
-- args: id status
-- says: ok
-- cost: O(freed), at most 100
-- `status`: how it ended, empty for what its hash says. A job that was canceled lets nobody go on; one that has failed lets those that
-- allow it.
local status = a_status ~= '' and a_status or redis.call('HGET', k_job, 'status')
local how = (status == 'failed' or status == 'stopped') and 'failed' or 'canceled'
if status == 'canceled' then return { 'ok', 0, 0 } end
-- writes below
local freed, more = end_dependants(a_id, how, NOW)
return { 'ok', freed, more }
