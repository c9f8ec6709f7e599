-- enqueue: jobs into their places, all or none: queued, deferred while a dependency is open, scheduled when not yet due
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: queued deferred scheduled
-- keys: queues
-- args: unique:int group count:int jobs:list
-- says: ok exists busy forbidden
-- cost: O(jobs + dependencies); LREM, O(queue), only for an id that waits in a queue already and is put to its front
local jobs, in_batch, at = {}, {}, 1
for _ = 1, a_count do
  local j = { id = a_jobs[at], queue = a_jobs[at + 1], call = a_jobs[at + 2], front = a_jobs[at + 3] == '1',
    due = tonumber(a_jobs[at + 4]), ttl = tonumber(a_jobs[at + 5]), allow_failure = a_jobs[at + 6] == '1', waits_for = {} }
  local dependencies = tonumber(a_jobs[at + 7])
  for i = 1, dependencies do j.waits_for[i] = a_jobs[at + 7 + i] end
  at = at + 8 + dependencies
  local fields = tonumber(a_jobs[at])
  j.first, j.last = at + 1, at + fields
  at = j.last + 1
  local there = redis.call('HMGET', key_job(j.id), 'status', 'call', 'origin', 'group_id')
  j.was, j.origin, j.group = there[1], there[3] or j.queue, there[4]
  j.repeated = there[2] and there[2] == j.call -- this very call was carried out before
  if not j.repeated then
    if a_unique == 1 and (j.was or in_batch[j.id]) then return { 'exists', j.id } end
    if j.was == 'started' then return { 'busy', j.id } end
  end
  -- Of an id that comes twice the last one counts, and the other never was.
  in_batch[j.id] = j
  jobs[#jobs + 1] = j
end
-- An ACL that allows some of the commands only would break the writes off half-way. Servers before Redis 7 can't be asked.
if redis.acl_check_cmd then
  local key = key_job(jobs[1].id)
  for _, verb in ipairs({ 'HSET', 'SADD', 'RPUSH', 'LPUSH', 'ZADD', 'EXPIRE', 'DEL' }) do
    if not redis.acl_check_cmd(verb, key) then return { 'forbidden', verb } end
  end
end
-- writes below
local now_iso, reply, rings = iso(NOW), { 'ok', NOW }, {}

-- Who still waits to be freed by an earlier run of one of these, or of one that these will wait for, goes on first: later they
-- could not be told apart. That may be one of these as well.
if redis.call('EXISTS', key_freeing()) == 1 then
  for _, j in ipairs(jobs) do
    if not j.repeated then
      settle_dependants(j.id, NOW)
      for _, dependency in ipairs(j.waits_for) do settle_dependants(dependency, NOW) end
    end
  end
  for _, j in ipairs(jobs) do j.was = redis.call('HGET', key_job(j.id), 'status') end
end

-- Make room for a job whose id is there already. One that waits in the right place keeps it.
local function replace(j)
  if not j.was then return false end
  local stays = j.was == 'queued' and j.origin == j.queue and not j.front and #j.waits_for == 0 and j.due == 0
  if not stays then leave(j.id, j.was, j.origin) end
  redis.call('DEL', key_job(j.id), key_dependencies(j.id))
  return stays
end

-- The dependencies that the job must wait for. One that comes later in the same call isn't there yet, but will be.
local function open_dependencies(j)
  local open = {}
  for _, dependency in ipairs(j.waits_for) do
    local beside = in_batch[dependency]
    if dependency ~= j.id and ((beside and not beside.repeated) or not is_met(dependency, j.allow_failure)) then
      open[#open + 1] = dependency
    end
  end
  return open
end

local function defer(j, open)
  redis.call('HSET', key_job(j.id), 'status', 'deferred', 'call', j.call, 'due', j.due, unpack(a_jobs, j.first, j.last))
  redis.call('ZADD', key_deferred(j.queue), seconds(NOW), j.id)
  redis.call('DEL', key_unmet(j.id), key_dependencies(j.id))
  for _, dependency in ipairs(open) do
    redis.call('SADD', key_dependents(dependency), j.id)
    redis.call('SADD', key_unmet(j.id), dependency)
  end
  for _, dependency in ipairs(j.waits_for) do redis.call('SADD', key_dependencies(j.id), dependency) end
  bound_unmet(j.id)
  return 'deferred'
end

local function place(j)
  local stays, open = replace(j), open_dependencies(j)
  if #open > 0 then return defer(j, open) end
  local key = key_job(j.id)
  if j.due > 0 then
    redis.call('HSET', key, 'status', 'scheduled', 'call', j.call, unpack(a_jobs, j.first, j.last))
    redis.call('ZADD', key_scheduled(j.queue), seconds(j.due), j.id)
    if redis.call('ZRANGE', key_scheduled(j.queue), 0, 0)[1] == j.id then rings[j.queue] = true end
    return 'scheduled'
  end
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', now_iso, 'call', j.call, unpack(a_jobs, j.first, j.last))
  if not stays then push(j.queue, j.id, j.front) end
  rings[j.queue] = true
  return 'queued'
end

for _, j in ipairs(jobs) do
  if j.repeated then
    j.word = 'already'
  elseif in_batch[j.id] == j then
    rings[j.queue] = rings[j.queue] or false
    j.word = place(j)
    if j.ttl > 0 then keep_for(key_job(j.id), j.ttl) end
    if is_set(j.group) and redis.call('HGET', key_job(j.id), 'group_id') ~= j.group then
      redis.call('SREM', key_group(j.group), j.id)
    end
    if a_group ~= '' then
      redis.call('SADD', key_groups(), a_group)
      redis.call('SADD', key_group(a_group), j.id)
    end
  end
end
for i, j in ipairs(jobs) do reply[i + 2] = in_batch[j.id].word end
for queue, wake in pairs(rings) do
  redis.call('SADD', k_queues, key_queue(queue))
  if wake then ring(queue) end
end
return reply
