-- enqueue: jobs into their places, all or none: queued, deferred while a dependency is open, scheduled when not yet due
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: queued deferred scheduled
-- keys: queues
-- args: unique:int group count:int jobs:list
-- says: ok exists busy
-- cost: O(jobs + dependencies); LREM, O(queue), only for an id that waits in a queue already and is put to its front
local jobs, at = {}, 1
for _ = 1, a_count do
  local j = { id = a_jobs[at], queue = a_jobs[at + 1], call = a_jobs[at + 2], front = a_jobs[at + 3] == '1',
    due = tonumber(a_jobs[at + 4]), ttl = tonumber(a_jobs[at + 5]), allow_failure = a_jobs[at + 6] == '1', waits_for = {} }
  local dependencies = tonumber(a_jobs[at + 7])
  for i = 1, dependencies do j.waits_for[i] = a_jobs[at + 7 + i] end
  at = at + 8 + dependencies
  j.fields = tonumber(a_jobs[at])
  j.first = at + 1
  at = at + 1 + j.fields
  local there = redis.call('HMGET', key_job(j.id), 'status', 'call', 'origin')
  j.was, j.origin = there[1], there[3] or j.queue
  j.again = there[2] and there[2] == j.call
  if not j.again then
    if a_unique == 1 and j.was then return { 'exists', j.id } end
    if j.was == 'started' then return { 'busy', j.id } end
  end
  jobs[#jobs + 1] = j
end
-- writes below
local now_iso, reply, rings = iso(NOW), { 'ok', NOW }, {}
for _, j in ipairs(jobs) do
  if j.again then
    reply[#reply + 1] = 'already'
  else
    local key = key_job(j.id)
    local stays = j.was == 'queued' and j.origin == j.queue and not j.front and #j.waits_for == 0 and j.due == 0
    if j.was then
      if not stays then leave(j.id, j.was, j.origin) end
      redis.call('DEL', key, key_dependencies(j.id))
    end
    local open = {}
    for _, dependency in ipairs(j.waits_for) do
      if not is_met(dependency, j.allow_failure) then open[#open + 1] = dependency end
    end
    local word
    if #open > 0 then
      word = 'deferred'
      redis.call('HSET', key, 'status', word, 'call', j.call, 'due', j.due, unpack(a_jobs, j.first, j.first + j.fields - 1))
      redis.call('ZADD', key_deferred(j.queue), seconds(NOW), j.id)
      for _, dependency in ipairs(open) do
        redis.call('SADD', key_dependents(dependency), j.id)
        redis.call('SADD', key_unmet(j.id), dependency)
      end
      for _, dependency in ipairs(j.waits_for) do redis.call('SADD', key_dependencies(j.id), dependency) end
    elseif j.due > 0 then
      word = 'scheduled'
      redis.call('HSET', key, 'status', word, 'call', j.call, unpack(a_jobs, j.first, j.first + j.fields - 1))
      redis.call('ZADD', key_scheduled(j.queue), seconds(j.due), j.id)
      if redis.call('ZRANGE', key_scheduled(j.queue), 0, 0)[1] == j.id then rings[j.queue] = true end
    else
      word = 'queued'
      redis.call('HSET', key, 'status', word, 'enqueued_at', now_iso, 'call', j.call,
        unpack(a_jobs, j.first, j.first + j.fields - 1))
      if not stays then push(j.queue, j.id, j.front) end
      rings[j.queue] = true
    end
    if j.ttl > 0 then redis.call('EXPIRE', key, j.ttl) end
    if rings[j.queue] == nil then rings[j.queue] = false end
    if a_group ~= '' then
      redis.call('SADD', key_groups(), a_group)
      redis.call('SADD', key_group(a_group), j.id)
    end
    reply[#reply + 1] = word
  end
end
for queue, wake in pairs(rings) do
  redis.call('SADD', k_queues, key_queue(queue))
  if wake then ring(queue) end
end
return reply
