-- take_turn: may the caller do this upkeep task now? Each turn lasts exactly one interval; there is nothing to give back
-- from: none
-- to: none
-- keys: turn
-- args: interval:int
-- says: ok wait
-- cost: O(1)
-- writes below
even_without_memory()
if redis.call('SET', k_turn, '1', 'NX', 'PX', a_interval) then return { 'ok', 0 } end
return { 'wait', redis.call('PTTL', k_turn) }
