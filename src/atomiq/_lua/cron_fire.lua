-- cron_fire: decide one tick of a cron entry, once, whoever asks: its job is enqueued, or held back by the overlap policy
-- from: gone
-- to: queued
-- keys: cron_entry
-- args: name schedule before tick:int due:int overlap id queue ttl:int fields:list
-- says: ok already early changed gone paused skipped held
-- cost: O(log history)
-- `before` is the tick that the caller knows as the last decided one; who knows another one has computed another next one. `due` is
-- the tick and its jitter. A tick that is held back waits in the entry; to ask for it again is to ask whether it may go now.
local entry = fields_of(k_cron_entry, 'schedule', 'last', 'since', 'paused', 'waiting', 'job', 'still')
local last, since = entry.last or '', entry.since or ''
local waits = entry.waiting and tonumber(entry.waiting) == a_tick
local paused = is_set(entry.paused)
local mine = entry.job == a_id
local known = { last, since, paused and 1 or 0, entry.waiting or '' }
if not entry.schedule then return { 'gone', NOW, known } end
if mine then return { 'ok', NOW, known } end
if entry.schedule ~= a_schedule then return { 'changed', NOW, known } end
if not waits and (last ~= a_before or a_tick < tonumber(since)) then return { 'already', NOW, known } end
if NOW < a_due then return { 'early', NOW, known } end
if paused then return { 'paused', NOW, known } end
local tick, busy = a_tick, a_overlap ~= 'allow' and (is_under_way(entry.job) or is_under_way(entry.still))
local reply = { busy and (a_overlap == 'queue_one' and 'held' or 'skipped') or 'ok', NOW }
-- writes below
if not waits then redis.call('HSET', k_cron_entry, 'last', a_tick) end
if reply[1] == 'held' then
  redis.call('HSET', k_cron_entry, 'waiting', a_tick)
elseif not busy and entry.waiting and not waits then
  -- An earlier tick waits still, and may go now: it comes first, and this one waits in its place.
  tick = tonumber(entry.waiting)
  redis.call('HSET', k_cron_entry, 'waiting', a_tick)
elseif waits then
  redis.call('HDEL', k_cron_entry, 'waiting')
end
if not busy then
  redis.call('HSET', k_cron_entry, 'job', a_id)
  enqueue_tick(a_name, tick, { id = a_id, queue = a_queue, ttl = a_ttl, fields = a_fields }, NOW)
end
local now_known = redis.call('HMGET', k_cron_entry, 'last', 'since', 'waiting')
reply[3] = { now_known[1], now_known[2], 0, now_known[3] or '' }
return reply
