-- cron_run: enqueue a job of a cron entry now, because somebody wants it: no tick is decided by it
-- from: gone
-- to: queued
-- keys: cron_entry
-- args: name id queue ttl:int fields:list
-- says: ok already
-- cost: O(log history)
if redis.call('ZSCORE', key_cron_history(a_name), a_id) then return { 'already', NOW } end
-- writes below
if redis.call('EXISTS', k_cron_entry) == 1 then redis.call('HSET', k_cron_entry, 'job', a_id) end
enqueue_tick(a_name, NOW, { id = a_id, queue = a_queue, ttl = a_ttl, fields = a_fields }, NOW)
return { 'ok', NOW }
