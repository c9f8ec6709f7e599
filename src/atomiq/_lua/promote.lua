-- promote: scheduled jobs whose time has come into their queue
-- from: scheduled
-- to: queued
-- keys: scheduled
-- args: queue limit:int
-- says: ok
-- cost: O(limit log scheduled)
-- writes below
local moved, looked = promote_due(a_queue, a_limit, NOW)
return { 'ok', moved, looked == a_limit and 1 or 0, next_due(a_queue) }
