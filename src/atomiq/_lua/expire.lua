-- expire: drop what has outlived its time from a queue's registries, ids whose hash is gone, and ids of jobs that are elsewhere
-- from: finished failed stopped canceled deferred
-- to: gone
-- keys: finished failed deferred canceled
-- args: queue limit:int offset:int only
-- says: ok
-- cost: O(limit log registry)
-- writes below
-- Whoever reads one registry has only that one healed: a dashboard asks for each of them in turn.
local function is_asked_for(key)
  return a_only == '' or a_only == key
end

local removed = 0
for _, key in ipairs({ k_finished, k_failed }) do
  local over = is_asked_for(key) and redis.call('ZRANGEBYSCORE', key, 0, seconds(NOW), 'LIMIT', 0, a_limit - removed) or {}
  for _, id in ipairs(over) do
    redis.call('ZREM', key, id)
    local job = fields_of(key_job(id), 'status', 'origin')
    local container = (job.status == 'finished' and k_finished) or
      ((job.status == 'failed' or job.status == 'stopped') and k_failed)
    if not job.status then
      forget(id, NOW, key == k_finished and 'finished')
    elseif container == key and job.origin == a_queue then
      erase(id, false, a_queue, NOW)
    end
    removed = removed + 1
  end
end
-- As much as one call may do.
if removed >= a_limit then return { 'ok', removed, 1, a_offset } end

-- A page of a registry. Where there is no score to outlive (`status`: the only one a job of it may have), an id whose hash had
-- expired and that was put anew elsewhere is a stray.
local function heal(key, status)
  local page = redis.call('ZRANGE', key, a_offset, a_offset + a_limit - 1)
  local dropped = 0
  for _, id in ipairs(page) do
    local job = fields_of(key_job(id), 'status', 'data', 'origin')
    if not job.data then
      dropped = dropped + redis.call('ZREM', key, id)
      forget(id, NOW, key == k_finished and 'finished')
    elseif status and (job.status ~= status or job.origin ~= a_queue) then
      dropped = dropped + redis.call('ZREM', key, id)
      if job.status ~= 'deferred' then unregister(id) end
    end
  end
  return dropped, #page
end

-- The next page starts where this one ended, less what it lost; registries that lost less see some entries twice.
local strays, most, longest = 0, 0, 0
for key, status in pairs({ [k_deferred] = 'deferred', [k_canceled] = 'canceled', [k_failed] = false, [k_finished] = false }) do
  if is_asked_for(key) then
    local dropped, size = heal(key, status)
    strays = strays + dropped
    if dropped > most then most = dropped end
    if size > longest then longest = size end
  end
end
local more = longest == a_limit
return { 'ok', removed + strays, more and 1 or 0, more and math.max(a_offset + a_limit - most, 0) or 0 }
