-- cron_pause: let a cron entry enqueue nothing, or let it go on; ticks that pass meanwhile are not made up for
-- from: none
-- to: none
-- keys: cron_entry
-- args: paused:flag
-- says: ok already gone
-- cost: O(1)
local entry = fields_of(k_cron_entry, 'schedule', 'paused')
if not entry.schedule then return 'gone' end
if is_set(entry.paused) == a_paused then return 'already' end
-- writes below
if a_paused then
  redis.call('HSET', k_cron_entry, 'paused', '1')
  redis.call('HDEL', k_cron_entry, 'waiting')
else
  redis.call('HDEL', k_cron_entry, 'paused')
  redis.call('HSET', k_cron_entry, 'since', NOW)
end
return 'ok'
