-- groups_read: the names of all groups; those without a member disappear in the same step
-- from: none
-- to: none
-- keys: groups
-- args: cursor limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local page = redis.call('SSCAN', k_groups, a_cursor, 'COUNT', a_limit)
local names = {}
for _, name in ipairs(page[2]) do
  if redis.call('EXISTS', key_group(name)) == 1 then
    names[#names + 1] = name
  else
    redis.call('SREM', k_groups, name)
  end
end
return { 'ok', page[1], names }
