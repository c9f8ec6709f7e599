-- compact_queue: ids that stand for no job off a queue, one page of it (RQ's Queue.compact)
-- from: none
-- to: none
-- keys: queue
-- args: offset:int limit:int
-- says: ok
-- cost: O(limit), and O(queue) for each id that is dropped
local page, gone = redis.call('LRANGE', k_queue, a_offset, a_offset + a_limit - 1), {}
for _, id in ipairs(page) do
  if redis.call('HEXISTS', key_job(id), 'data') == 0 then gone[#gone + 1] = id end
end
-- writes below
for _, id in ipairs(gone) do
  redis.call('LREM', k_queue, 0, id)
  forget(id, NOW)
end
return { 'ok', #gone, #page == a_limit and a_offset + #page - #gone or -1 }
