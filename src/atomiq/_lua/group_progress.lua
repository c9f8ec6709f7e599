-- group_progress: how many members of a group there were, how they ended, and what the open ones are doing
-- from: none
-- to: none
-- keys: group
-- args: name limit:int
-- says: ok
-- cost: O(limit): the status of more open members is not looked up
-- writes below
local found = look_through(a_name, a_limit, NOW)
local names = { 'finished', 'failed', 'stopped', 'canceled', 'gone' }
local counts = redis.call('HMGET', key_ended(a_name), '#finished', '#failed', '#stopped', '#canceled', '#gone')
local open = redis.call('SCARD', key_open(a_name))
local known, pairs_of = open, {}
for i, name in ipairs(names) do
  local count = tonumber(counts[i] or '') or 0
  known = known + count
  pairs_of[2 * i - 1], pairs_of[2 * i] = name, count
end
for status, count in pairs(found) do
  pairs_of[#pairs_of + 1] = status
  pairs_of[#pairs_of + 1] = count
end
-- Of the members that RQ put there, some may still be unknown; the next call looks at more of them.
return { 'ok', open, redis.call('SCARD', k_group) > known and 1 or 0, pairs_of }
