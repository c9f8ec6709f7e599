-- view_jobs: the hashes of some jobs, all at one instant
-- from: none
-- to: none
-- keys: queues
-- args: ids:list
-- says: ok
-- cost: O(ids)
local reply = { 'ok' }
for _, id in ipairs(a_ids) do reply[#reply + 1] = redis.call('HGETALL', key_job(id)) end
return reply
