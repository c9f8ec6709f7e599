-- view_executions: the executions of a job that are open now
-- from: none
-- to: none
-- keys: executions
-- args: id
-- says: ok
-- cost: O(executions), one as a rule
local reply = { 'ok' }
for _, execution in ipairs(redis.call('ZRANGE', k_executions, 0, -1)) do
  local hash = redis.call('HGETALL', key_execution(a_id, execution))
  if #hash > 0 then reply[#reply + 1] = hash end
end
return reply
