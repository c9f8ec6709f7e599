-- repair_job: mend the named faults of a job, those that it still has: it comes to where its status says, and nowhere else
-- from: any
-- to: same queued scheduled canceled failed
-- keys: job queues
-- args: id witness reach:int overdue:int overdue_rq:int faults text hints:list
-- says: ok healed changed
-- cost: O(containers + dependencies); the job's list once or twice for one that is in it wrongly (LREM)
local job = diagnose(a_id, a_hints, a_reach, a_overdue, a_overdue_rq, NOW)
if job.witness ~= a_witness then return { 'changed' } end
local wanted = {}
for _, found in ipairs(job.faults) do
  if a_faults:find(' ' .. found.word .. ' ', 1, true) then wanted[#wanted + 1] = found end
end
if #wanted == 0 then return { 'healed' } end
-- writes below
local key, queue = k_job, job.origin

local function remove_from(place)
  if place.container == 'wip' then
    local worker = redis.call('HGET', key_execution(a_id, place.execution), 'worker_name') or redis.call('HGET', key, 'worker_name')
    close_execution(place.queue, a_id, place.execution, worker)
    if place.execution == '' then redis.call('ZREM', key_wip(place.queue), a_id) end
  elseif place.container == 'queue' or place.container == 'intermediate' then
    redis.call('LREM', container_key(place.container, place.queue), 0, a_id)
  else
    redis.call('ZREM', container_key(place.container, place.queue), a_id)
  end
end

local function to_front()
  push(queue, a_id, true)
  redis.call('SADD', k_queues, key_queue(queue))
  ring(queue)
end

-- What is kept of an ended job, and until when.
local function list_ended(registry, for_ever)
  local left = redis.call('PTTL', key)
  local ttl = number_of(job.failure_ttl, 31536000)
  if left < 0 and registry == key_failed(queue) and ttl > 0 then
    keep_for(key, ttl)
    left = ttl * 1000
  end
  redis.call('ZADD', registry, left < 0 and for_ever or end_of(math.ceil(left / 1000), NOW), a_id)
end

local function put_in_place()
  local status = job.status
  if status == 'queued' then to_front()
  elseif status == 'scheduled' then
    redis.call('ZADD', key_scheduled(queue), seconds(NOW), a_id)
    ring(queue)
  elseif status == 'deferred' then redis.call('ZADD', key_deferred(queue), seconds(NOW), a_id)
  elseif status == 'started' then
    local times = number_of(redis.call('HGET', key, 'abandoned'), 0)
    redis.call('HSET', key, 'abandoned', times + 1, 'worker_name', '', 'execution', '')
    again(a_id, queue, 0, true, NOW)
  elseif status == 'finished' then list_ended(key_finished(queue), '+inf')
  elseif status == 'failed' or status == 'stopped' then list_ended(key_failed(queue), -1)
  else put_canceled(a_id, queue, NOW) end
end

local function fail_it()
  for _, place in ipairs(job.places) do remove_from(place) end
  local ttl = number_of(job.failure_ttl, 31536000)
  redis.call('HSET', key, 'ended_at', iso(NOW))
  record(a_id, '2', '', ttl, 'exc_string', a_text, '', '', '')
  bury(a_id, queue, 'failed', ttl, NOW)
end

local function let_go(how)
  local due, front = unpack(redis.call('HMGET', key, 'due', 'enqueue_at_front'))
  leave(a_id, 'deferred', queue)
  if how == 'cancel' then put_canceled(a_id, queue, NOW) else put(a_id, queue, number_of(due, 0), is_set(front), NOW) end
end

local function keep_as_listed(place)
  local ttl = number_of(job.failure_ttl, 31536000)
  if place.container ~= 'canceled' then ttl = math.max(1, math.ceil(place.at - NOW / 1000)) end
  keep_for(key, ttl)
end

local forgotten = false
local function mend(word, place, detail)
  if word == 'no_job' then
    remove_from(place)
    forgotten = true
    if place.container == 'finished' then end_dependants(a_id, 'finished', NOW) end
  elseif word == 'zombie' then
    for _, found in ipairs(job.places) do remove_from(found) end
    forgotten = true
  elseif word == 'double' or word == 'stale_lease' then remove_from(place)
  elseif word == 'lease_over' then
    remove_from(place)
    put_in_place()
  elseif word == 'orphan' then put_in_place()
  elseif word == 'twice' then redis.call('LREM', key_queue(place.queue), -1, a_id)
  elseif word == 'not_queued' then
    redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW))
  elseif word == 'stuck' then
    remove_from(place)
    if job.status == 'queued' and not job.own then
      job.own = place
      to_front()
    end
  elseif word == 'will_expire' then redis.call('PERSIST', key)
  elseif word == 'no_ttl' then keep_as_listed(place)
  elseif word == 'not_in_group' then
    redis.call('SADD', key_group(detail), a_id)
    redis.call('SADD', key_groups(), detail)
  elseif word == 'deferred_for_ever' then let_go(detail:match('^%a+'))
  elseif word == 'unlinked' then
    for _, dependency in ipairs(job.unlinked) do redis.call('SADD', key_dependents(dependency), a_id) end
  elseif word == 'unknown_status' then fail_it() end
end

-- Out of the wrong places first, then into the right one.
for _, found in ipairs(wanted) do
  if found.word ~= 'orphan' then mend(found.word, found.place, found.detail) end
end
for _, found in ipairs(wanted) do
  if found.word == 'orphan' then mend('orphan') end
end
if forgotten then forget(a_id, NOW) end
local reply = { 'ok' }
for i, found in ipairs(wanted) do reply[i + 1] = found.word end
return reply
