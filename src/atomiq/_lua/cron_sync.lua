-- cron_sync: a cron scheduler says that it looks after an entry, and what its schedule is
-- from: none
-- to: none
-- keys: cron_entry cron_entries
-- args: name schedule definition scheduler takes:flag
-- says: ok changed
-- cost: O(log entries)
-- A schedule that differs from the known one takes its place when the scheduler has just started (`takes`), or when nobody who
-- has the other one has said so for two minutes. Ticks of the new one count from now; the last tick of the old one stays known.
-- Last in the reply: the definition that a living scheduler has given before, if it is another one; both enqueue by their own.
local entry = fields_of(k_cron_entry, 'schedule', 'last', 'since', 'paused', 'waiting', 'by', 'definition')
local differs = entry.schedule and entry.schedule ~= a_schedule
local since = entry.since or ''
local beat = entry.by and entry.by ~= a_scheduler and redis.call('ZSCORE', key_cron_schedulers(), entry.by)
local other_lives = beat and tonumber(beat) * 1000 > NOW - 120000
local other = other_lives and entry.definition ~= a_definition and entry.definition or ''
local seen = tonumber(redis.call('ZSCORE', k_cron_entries, a_name) or 0)
if differs and not a_takes and seen * 1000 > NOW - 120000 then
  return { 'changed', NOW, { entry.last or '', since, is_set(entry.paused) and 1 or 0, entry.waiting or '' }, other }
end
-- writes below
if differs or not entry.schedule then
  since = NOW
  redis.call('HSET', k_cron_entry, 'schedule', a_schedule, 'since', NOW)
end
redis.call('HSET', k_cron_entry, 'definition', a_definition, 'by', a_scheduler)
redis.call('EXPIRE', k_cron_entry, 31536000)
redis.call('ZADD', k_cron_entries, seconds(NOW), a_name)
redis.call('ZREMRANGEBYSCORE', k_cron_entries, '-inf', seconds(NOW - 31536000000))
return { 'ok', NOW, { entry.last or '', since, is_set(entry.paused) and 1 or 0, entry.waiting or '' }, other }
