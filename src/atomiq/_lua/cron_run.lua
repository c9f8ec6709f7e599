-- cron_run: enqueue a job of a cron entry now, because somebody wants it: no tick is decided by it
-- from: gone
-- to: queued
-- keys: cron_entry
-- args: name id queue ttl:int fields:list
-- says: ok already
-- cost: O(log history)
if redis.call('ZSCORE', key_cron_history(a_name), a_id) then return { 'already', NOW } end
local entry = fields_of(k_cron_entry, 'schedule', 'job', 'still')
-- writes below
if entry.schedule then
  -- The job of a tick that has not ended yet: the overlap policy has to see it until it has.
  if is_under_way(entry.job) and not is_under_way(entry.still) then redis.call('HSET', k_cron_entry, 'still', entry.job) end
  redis.call('HSET', k_cron_entry, 'job', a_id)
end
enqueue_tick(a_name, NOW, { id = a_id, queue = a_queue, ttl = a_ttl, fields = a_fields }, NOW)
return { 'ok', NOW }
