-- pause_queue: let no job of a queue be taken, or let them be taken again
-- from: none
-- to: none
-- keys: paused
-- args: queue paused:int
-- says: ok already
-- cost: O(1)
-- writes below
if a_paused == 1 then
  return redis.call('SADD', k_paused, a_queue) == 1 and 'ok' or 'already'
end
local was = redis.call('SREM', k_paused, a_queue)
if was == 1 then ring(a_queue) end
return was == 1 and 'ok' or 'already'
