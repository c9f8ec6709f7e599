-- group_read: one page of a group; members whose job is gone disappear in the same step
-- from: none
-- to: none
-- keys: group groups
-- args: name cursor limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local page = redis.call('SSCAN', k_group, a_cursor, 'COUNT', a_limit)
local ids = {}
for _, id in ipairs(page[2]) do
  if redis.call('EXISTS', key_job(id)) == 1 then
    ids[#ids + 1] = id
  else
    member_gone(a_name, id, NOW)
  end
end
local there = redis.call('EXISTS', k_group)
if there == 0 then redis.call('SREM', k_groups, a_name) end
return { 'ok', there, page[1], ids }
