-- Due jobs into their queue, at most `limit`. Says how many left the schedule.
local function promote_due(queue, limit, now)
  local due = redis.call('ZRANGEBYSCORE', key_scheduled(queue), '-inf', seconds(now), 'LIMIT', 0, limit)
  local moved = 0
  for _, id in ipairs(due) do
    redis.call('ZREM', key_scheduled(queue), id)
    local job = fields_of(key_job(id), 'status', 'data', 'origin', 'enqueue_at_front', 'enqueue_at_front_on_retry',
      'ended_at')
    if not job.data then
      forget(id, now)
    elseif job.status == 'scheduled' and job.origin == queue then
      local front = is_set(job.enqueue_at_front) or (is_set(job.enqueue_at_front_on_retry) and is_set(job.ended_at))
      redis.call('HSET', key_job(id), 'status', 'queued', 'enqueued_at', iso(now))
      push(queue, id, front)
      moved = moved + 1
    end
  end
  if moved > 0 then
    redis.call('SADD', key_queues(), key_queue(queue))
    ring(queue)
  end
  return moved, #due
end

-- When the next scheduled job of a queue is due, in ms; 0 for none.
local function next_due(queue)
  local first = redis.call('ZRANGE', key_scheduled(queue), 0, 0, 'WITHSCORES')
  if not first[2] then return 0 end
  return math.floor(number_of(first[2], 0) * 1000 + 0.5)
end
