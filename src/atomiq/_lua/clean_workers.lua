-- clean_workers: forget workers of a queue whose hash has expired
-- from: none
-- to: none
-- keys: worker_set workers
-- args: limit:int
-- says: ok
-- cost: O(limit)
-- writes below
local removed = 0
for _, key in ipairs(redis.call('SRANDMEMBER', k_worker_set, a_limit)) do
  if redis.call('EXISTS', key) == 0 then
    redis.call('SREM', k_worker_set, key)
    redis.call('SREM', k_workers, key)
    removed = removed + 1
  end
end
return { 'ok', removed }
