-- give_back: jobs claimed ahead and not started, known by their executions, to the front of their queues, in order; the attempt not counted; stopped, if they were to be
-- from: started
-- to: queued stopped gone
-- keys: worker_executions
-- args: worker executions:list
-- says: ok unknown not_yours
-- cost: O(executions log wip)
-- writes below
local ids, said = redis.call('HMGET', k_worker_executions, unpack(a_executions)), {}
for i = #a_executions, 1, -1 do said[i] = give_back_job(ids[i], a_executions[i], a_worker, NOW) end
worker_rests(a_worker)
return said
