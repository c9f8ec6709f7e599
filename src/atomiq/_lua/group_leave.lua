-- group_leave: take a job out of a group; it counts there no more, and the job stays
-- from: none
-- to: none
-- keys: group
-- args: name id
-- says: ok
-- cost: O(1)
local was = redis.call('SISMEMBER', k_group, a_id)
local group = redis.call('HGET', key_job(a_id), 'group_id')
-- writes below
if group == a_name then redis.call('HSET', key_job(a_id), 'group_id', '') end
take_out(a_name, a_id, NOW)
return { 'ok', was }
