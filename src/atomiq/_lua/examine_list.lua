-- examine_list: a slice of a queue's list; its ids, and which of them are not a job that waits there and nowhere else
-- from: none
-- to: none
-- keys: queue
-- args: queue first:int last:int
-- says: ok
-- cost: O(slice), plus the way to it from the nearer end of the list
local ids, odd = redis.call('LRANGE', k_queue, a_first, a_last), {}
for i, id in ipairs(ids) do
  local job = redis.pcall('HMGET', key_job(id), 'status', 'origin', 'ttl', 'group_id')
  local group = job[4]
  if job.err or job[1] ~= 'queued' or job[2] ~= a_queue or redis.call('HEXISTS', key_job(id), 'data') == 0 or
    fades(id, job[1], job[3]) or outside_group(id, group) then
    odd[#odd + 1] = i - 1
  end
end
return { 'ok', ids, odd, redis.call('LLEN', k_queue) }
