-- worker_note: one field of a worker's hash is set, dropped or added to, outside of the worker's own round (RQ's counters and setters)
-- from: none
-- to: none
-- keys: worker
-- args: ttl:int verb field value
-- says: ok
-- cost: O(1)
local there = redis.call('EXISTS', k_worker)
-- writes below
if a_verb == 'set' then
  redis.call('HSET', k_worker, a_field, a_value)
elseif a_verb == 'drop' then
  redis.call('HDEL', k_worker, a_field)
elseif a_verb == 'add' then
  redis.call('HINCRBYFLOAT', k_worker, a_field, a_value)
end
-- A hash that only this made must not stay for ever.
if there == 0 then redis.call('EXPIRE', k_worker, a_ttl) end
return 'ok'
