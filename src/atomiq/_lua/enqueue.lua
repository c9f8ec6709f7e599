-- enqueue: jobs into their places, all or none: queued, deferred while a dependency is open, scheduled when not yet due
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: queued deferred scheduled
-- keys: queues
-- args: unique:int group outbox not_after:int rows:int sent:some jobs:rest
-- says: ok exists busy forbidden circle late
-- cost: O(jobs + dependencies); LREM, O(queue), only for an id that waits in a queue already and is put to its front
-- The form of the jobs is told at `enqueue_jobs`.
local at = at_jobs
-- What most calls are: one new job, into its queue at once.
if a_rows == 0 and a_group == '' and ARGV[at] == '1' and ARGV[at + 3] == '0' and #ARGV == at + 5 + 2 * ARGV[at + 4] then
  local queue, id = ARGV[at + 1], ARGV[at + 5]
  local key = key_job(id)
  if redis.call('EXISTS', key, key_freeing()) == 0 then
    local check = redis.acl_check_cmd
    for _, verb in ipairs(check and { 'HSET', 'RPUSH', 'SADD', 'ZADD' } or {}) do
      if not check(verb, key) then return { 'forbidden', verb } end
    end
    -- writes below
    if ARGV[at + 2] == '' then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW), unpack(ARGV, at + 6))
    else
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW), 'call', ARGV[at + 2], unpack(ARGV, at + 6))
    end
    redis.call('RPUSH', key_queue(queue), id)
    redis.call('SADD', k_queues, key_queue(queue))
    ring(queue)
    return { 'ok', NOW, 'queued' }
  end
end
return rare('enqueue_jobs')(a_unique, a_group, a_outbox, a_not_after, a_sent, at, NOW)
