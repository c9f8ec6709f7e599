-- recover_stuck: ids that a worker of RQ's took off a queue and never started: back to its front, or failed by policy
-- from: queued created started
-- to: queued scheduled failed gone
-- keys: intermediate stuck
-- args: queue grace:int limit:int max_abandoned:int policy failure_ttl:int poison_text stuck_text
-- says: ok
-- cost: O(limit), and O(workers of the queue + queue) for each id that has been there for `grace` ms
-- writes below
local ids, dropped, waiting = { requeued = {}, retried = {}, failed = {} }, 0, 0
local rules = { queue = a_queue, policy = a_policy, max_abandoned = a_max_abandoned, failure_ttl = a_failure_ttl,
  abandoned = a_stuck_text, poison = a_poison_text }
local seen, page = {}, redis.call('LRANGE', k_intermediate, 0, a_limit - 1)
local noted, flat = {}, redis.call('HGETALL', k_stuck)
for i = 1, #flat, 2 do noted[flat[i]] = flat[i + 1] end

local function take_off(id)
  redis.call('LREM', k_intermediate, 0, id)
  redis.call('DEL', key_first_seen(a_queue, id))
  redis.call('HDEL', k_stuck, id)
end

-- Since when it has been there, in ms. A stay is known by when the job was enqueued and started last: between two of them it ran. RQ's
-- own note is kept for a day, so it counts only if it is not older than the stay.
local function since(id, job)
  local stay = (job.enqueued_at or '') .. ' ' .. (job.started_at or '')
  local at, of = (noted[id] or ''):match('^(%d+) (.*)$')
  if of ~= stay then
    at = NOW
    redis.call('HSET', k_stuck, id, NOW .. ' ' .. stay)
    redis.call('PEXPIRE', k_stuck, 86400000)
  end
  local theirs = tonumber(redis.call('GET', key_first_seen(a_queue, id)) or '')
  if theirs and theirs * 1000 < at + 0 and is_set(job.enqueued_at) and iso(math.floor(theirs * 1000)) >= job.enqueued_at then
    return theirs * 1000
  end
  return at + 0
end

for _, id in ipairs(page) do
  if not seen[id] then
    seen[id] = true
    local job = fields_of(key_job(id), 'status', 'data', 'origin', 'execution', 'enqueued_at', 'started_at', 'abandoned',
      'on_abandoned', 'failure_ttl', 'enqueue_at_front_on_retry')
    if not job.data then
      take_off(id)
      forget(id, NOW)
      dropped = dropped + 1
    else
      local at = since(id, job)
      if runs_elsewhere(id, '', job.execution, job.origin or a_queue) or at + a_grace > NOW then
        waiting = waiting + 1
      elseif job.status ~= 'queued' and job.status ~= 'created' and job.status ~= 'started' or
        redis.call('LPOS', key_queue(job.origin or a_queue), id) then
        take_off(id) -- it is somewhere else by now
        dropped = dropped + 1
      elseif may_be_taken(a_queue, iso(at + 5000)) then
        waiting = waiting + 1
      else
        take_off(id)
        leave(id, job.status, job.origin or a_queue)
        redis.call('HSET', key_job(id), 'origin', a_queue)
        local list = ids[settle_abandoned(id, '', job, rules, nil, NOW)]
        list[#list + 1] = id
      end
    end
  end
end
for id in pairs(noted) do
  if not seen[id] then redis.call('HDEL', k_stuck, id) end
end
return { 'ok', ids.requeued, ids.retried, ids.failed, dropped, waiting }
