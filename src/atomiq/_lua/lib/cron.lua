-- Cron entries. What an entry has been told so far is one hash; the jobs that came of it are listed as RQ lists them.

-- Does a job that an entry has enqueued still wait or run? One whose hash is gone does neither.
local function is_under_way(id)
  if not is_set(id) then return false end
  local status = redis.call('HGET', key_job(id), 'status')
  return status == 'queued' or status == 'started' or status == 'scheduled' or status == 'deferred'
end

-- A new job of an entry, into its queue and into the entry's history: the newest thousand of the last year, as RQ keeps them.
-- `job` has id, queue, ttl and fields; `tick` is the time that it is for.
local function enqueue_tick(name, tick, job, now)
  redis.call('HSET', key_job(job.id), unpack(job.fields))
  redis.call('HSET', key_job(job.id), 'created_at', iso(now), 'cron', name, 'tick', tick)
  put(job.id, job.queue, nil, false, now)
  if job.ttl > 0 then keep_for(key_job(job.id), job.ttl) end
  redis.call('ZADD', key_cron_jobs(), seconds(now), name)
  redis.call('ZADD', key_cron_history(name), seconds(now), job.id)
  redis.call('ZREMRANGEBYRANK', key_cron_history(name), 0, -1001)
  redis.call('EXPIRE', key_cron_history(name), 31536000)
end
