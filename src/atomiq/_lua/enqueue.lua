-- enqueue: jobs into their places, all or none: queued, deferred while a dependency is open, scheduled when not yet due
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: queued deferred scheduled
-- keys: queues
-- args: known_second:int known_iso more:int options:some jobs:rest
-- says: ok exists busy forbidden circle late
-- cost: O(jobs + dependencies); LREM, O(queue), only for an id that waits in a queue already and is put to its front
-- The options are, if any is given: unique, group, outbox, not_after and the rows that are sent. The form of the jobs is
-- told at `enqueue_jobs`; one that says nothing but what each says is `plain queue id created_at data description timeout`,
-- as each word that is sent takes the server long. What is known is the text of a second of the sender's clock. The usual
-- answer, one job queued, is the time alone: a list takes longer, too.
hint_second(a_known_second, a_known_iso)
local at = at_jobs
local plain = ARGV[at] == 'plain'
-- What most calls are: one new job, into its queue at once.
if a_more == 0 and (plain or ARGV[at] == '1' and ARGV[at + 3] == '0' and #ARGV == at + 5 + 2 * ARGV[at + 4]) then
  local queue, id = ARGV[at + 1], ARGV[at + (plain and 2 or 5)]
  local key, list = key_job(id), key_queue(queue)
  if redis.call('EXISTS', key, key_freeing()) == 0 then
    -- In an order in which a refusal leaves nothing behind but a name and a bell. The last one is asked for: a queue must not name
    -- a job that isn't there. Servers before Redis 7 can't be asked.
    local check = redis.acl_check_cmd
    if check and not check('HSET', key) then return { 'forbidden', 'HSET' } end
    -- writes below
    redis.call('SADD', k_queues, list)
    ring(queue)
    redis.call('RPUSH', list, id)
    if plain then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW), 'created_at', ARGV[at + 3], 'data', ARGV[at + 4],
        'last_heartbeat', '', 'origin', queue, 'description', ARGV[at + 5], 'timeout', ARGV[at + 6])
    elseif ARGV[at + 2] == '' then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW), unpack(ARGV, at + 6))
    else
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(NOW), 'call', ARGV[at + 2], unpack(ARGV, at + 6))
    end
    return NOW
  end
end
if plain then
  local _, queue, id, created_at, data, description, timeout = unpack(ARGV, at)
  local block = { '1', queue, '', '0', '6', id, 'created_at', created_at, 'data', data, 'last_heartbeat', '',
    'origin', queue, 'description', description, 'timeout', timeout }
  for i, word in ipairs(block) do ARGV[at + i - 1] = word end
end
local given = a_options
local unique, not_after, sent = (given[1] or 0) + 0, (given[4] or 0) + 0, { unpack(given, 5) }
return rare('enqueue_jobs')(unique, given[2] or '', given[3] or '', not_after, sent, at, NOW)
