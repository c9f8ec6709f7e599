-- resume: let workers take jobs again, and wake them
-- from: none
-- to: none
-- keys: suspended queues
-- args: prefix_length:int
-- says: ok
-- cost: O(queues), at most 1,000
-- writes below
local was = redis.call('DEL', k_suspended)
if was == 0 then return { 'ok', 0 } end
for _, key in ipairs(redis.call('SRANDMEMBER', k_queues, 1000)) do
  if redis.call('LLEN', key) > 0 then ring(key:sub(a_prefix_length + 1)) end
end
return { 'ok', was }
