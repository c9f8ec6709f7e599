-- view_cron: cron entries as the server knows them, those seen last first
-- from: none
-- to: none
-- keys: cron_entries
-- args: limit:int
-- says: ok
-- cost: O(limit)
local reply = { 'ok', NOW }
local listed = redis.call('ZRANGE', k_cron_entries, -a_limit, -1, 'WITHSCORES')
for at = #listed - 1, 1, -2 do
  local hash = redis.call('HGETALL', key_cron_entry(listed[at]))
  if #hash > 0 then reply[#reply + 1] = { listed[at], listed[at + 1], hash } end
end
return reply
