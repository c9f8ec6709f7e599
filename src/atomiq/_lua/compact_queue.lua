-- compact_queue: ids that stand for no job off a queue, one page of it (RQ's Queue.compact)
-- from: none
-- to: none
-- keys: queue
-- args: offset:int limit:int
-- says: ok
-- cost: O(limit), and O(queue) once if any is dropped
local page, gone = redis.call('LRANGE', k_queue, a_offset, a_offset + a_limit - 1), {}
for i, id in ipairs(page) do
  if redis.call('HEXISTS', key_job(id), 'data') == 0 then gone[#gone + 1] = i end
end
-- writes below
-- Blanked out first, to be taken off all together: no job has an empty id, and a search for each would take as long as this one.
for _, i in ipairs(gone) do redis.call('LSET', k_queue, a_offset + i - 1, '') end
if #gone > 0 then redis.call('LREM', k_queue, 0, '') end
local reply = { 'ok', #page == a_limit and a_offset + #page - #gone or -1 }
for i, at in ipairs(gone) do
  reply[i + 2] = page[at]
  forget(page[at], NOW)
end
return reply
