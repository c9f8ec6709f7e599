-- view_workers: the workers of a queue, or all; names whose hash has expired disappear in the same step
-- from: none
-- to: none
-- keys: members workers
-- args: limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local reply = { 'ok' }
for _, key in ipairs(redis.call('SRANDMEMBER', k_members, a_limit)) do
  local hash = redis.call('HGETALL', key)
  if #hash == 0 then
    redis.call('SREM', k_members, key)
    redis.call('SREM', k_workers, key)
  else
    reply[#reply + 1] = { key, hash }
  end
end
return reply
