-- release: jobs given back by their owner, to the front of their queue, the attempt not counted; stopped, if they were to be
-- from: started
-- to: queued stopped gone
-- keys: worker
-- args: worker held:list
-- says: ok already not_yours gone
-- cost: O(held log wip)
-- writes below
local reply = {}
for i = #a_held - 2, 1, -3 do
  table.insert(reply, 1, release_job(a_held[i], a_held[i + 1], a_held[i + 2], a_worker, NOW))
end
worker_rests(a_worker)
return reply
