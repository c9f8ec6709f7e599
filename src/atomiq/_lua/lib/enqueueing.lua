-- Putting jobs into their places.

-- All jobs or none. They come in blocks of alike ones, of which the first begins at ARGV[at], and say once what they share:
--
--   how many they are, queue, call, how many of the next there are,
--   nothing or: front, due (or -1 minus a delay from now), ttl, allow_failure, a group they wait for, on what condition, dependencies...
--   how many fields they have, the names of these
--
-- Then the id of each, with the values of its fields. A block of one job has each name before its value instead. Those that wait for
-- a group are no members of the one that the others become members of.
-- From an outbox come as many names of rows (`sent`) as there are jobs: a row that was sent before is not enqueued again, one that is
-- refused is told in its place instead of stopping the others, and nothing is done after `not_after`, when the names may be forgotten.
local function enqueue_jobs(unique, group, outbox, not_after, sent, at, now)
  if outbox ~= '' and now > not_after then return { 'late', now } end
  local blocks, jobs, in_batch, keys = {}, {}, {}, {}
  local plain = true -- new ids only, each once, into their queue at once
  while ARGV[at] do
    local b = { count = ARGV[at] + 0, queue = ARGV[at + 1], call = ARGV[at + 2], front = false, due = 0, ttl = 0, allow_failure = false,
      after = '', when = '', waits_for = {} }
    local more = ARGV[at + 3] + 0
    if more > 0 then
      b.front, b.due, b.ttl, b.allow_failure = ARGV[at + 4] == '1', ARGV[at + 5] + 0, ARGV[at + 6] + 0, ARGV[at + 7] == '1'
      b.after, b.when, plain = ARGV[at + 8], ARGV[at + 9], false
      if b.due < 0 then b.due = now - b.due - 1 end
      for i = 7, more do b.waits_for[i - 6] = ARGV[at + 3 + i] end
    end
    at = at + 4 + more
    b.width = ARGV[at] + 0
    -- One job alone has names and values in turn.
    if b.count == 1 then b.names, b.ids, b.step = at, at + 1, 2 else b.names, b.ids, b.step = at, at + b.width + 1, 1 end
    b.size = b.width * b.step + 1
    at = b.ids + b.count * b.size
    blocks[#blocks + 1] = b
    for first = b.ids, at - 1, b.size do
      local id = ARGV[first]
      if in_batch[id] then plain = false end
      in_batch[id] = true
      keys[#keys + 1] = key_job(id)
    end
  end
  for n = 1, #sent do
    sent[sent[n]] = redis.call('ZSCORE', key_outbox(outbox), sent[n])
    if sent[sent[n]] then plain = false end
  end
  -- Who waits to be freed by an earlier run of a job can't be told apart later from who waits for the next one.
  keys[#keys + 1] = key_freeing()
  for first = 1, plain and #keys or 0, 1000 do
    if redis.call('EXISTS', unpack(keys, first, math.min(first + 999, #keys))) > 0 then plain = false end
  end
  if not plain then
    in_batch = {}
    for _, b in ipairs(blocks) do
      for first = b.ids, b.ids + (b.count - 1) * b.size, b.size do
        local id = ARGV[first]
        local there = redis.call('HMGET', key_job(id), 'status', 'call', 'origin', 'group_id')
        local j = { id = id, block = b, first = first, was = there[1], origin = there[3] or b.queue, group = there[4] }
        -- This very call was carried out before. A call without a token is the only one that knows the id.
        j.row = sent[#jobs + 1]
        j.repeated = j.was and (b.call == '' or there[2] == b.call) or j.row and sent[j.row]
        if not j.repeated then
          if unique == 1 and (j.was or in_batch[id]) then
            if not j.row then return { 'exists', id } end
            j.refused = 'exists'
          elseif j.was == 'started' then
            if not j.row then return { 'busy', id } end
            j.refused = 'busy'
          end
        end
        -- Of an id that comes twice the last one counts, and the other never was.
        if not j.refused then in_batch[id] = j end
        jobs[#jobs + 1] = j
      end
    end
  end

  -- Would a job wait for itself, by way of jobs that wait for it already? Only one that is put anew has such. Looks at 1,000 jobs at
  -- most, all in all.
  local budget = 1000
  local function waits_for_itself(j)
    local open, seen = {}, {}
    for i, dependency in ipairs(j.block.waits_for) do open[i] = dependency end
    while #open > 0 and budget > 0 do
      local id = table.remove(open)
      if id == j.id then return true end
      if not seen[id] then
        seen[id], budget = true, budget - 1
        local beside, next_ids, allow_failure = in_batch[id], {}, false
        if beside and not beside.repeated then
          next_ids = beside.block.waits_for
        else
          local job = fields_of(key_job(id), 'status', 'allow_dependency_failures')
          if job.status == 'deferred' then
            local key = redis.call('EXISTS', key_unmet(id)) == 1 and key_unmet(id) or key_dependencies(id)
            next_ids, allow_failure = redis.call('SSCAN', key, 0, 'COUNT', 100)[2], is_set(job.allow_dependency_failures)
          end
        end
        for _, dependency in ipairs(next_ids) do
          if beside or not is_met(dependency, allow_failure) then open[#open + 1] = dependency end
        end
      end
    end
    return false
  end
  for _, j in ipairs(jobs) do
    local counts = j.was and not j.repeated and in_batch[j.id] == j and #j.block.waits_for > 0
    if counts and redis.call('EXISTS', key_dependents(j.id)) == 1 and waits_for_itself(j) then
      if not j.row then return { 'circle', j.id } end
      j.refused, in_batch[j.id] = 'circle', nil
    end
  end
  -- An ACL that allows some of the commands only would break the writes off half-way. Servers before Redis 7 can't be asked.
  if redis.acl_check_cmd then
    local verbs = { 'HSET', 'SADD', 'RPUSH', 'ZADD' }
    if not plain or outbox ~= '' or group ~= '' then verbs = { 'HSET', 'SADD', 'RPUSH', 'LPUSH', 'ZADD', 'EXPIRE', 'DEL' } end
    for _, verb in ipairs(verbs) do
      if not redis.acl_check_cmd(verb, keys[1]) then return { 'forbidden', verb } end
    end
  end
  -- writes below
  local now_iso, rings = iso(now), {}
  for n = 1, #sent do
    if plain or not jobs[n].refused then redis.call('ZADD', key_outbox(outbox), now, sent[n]) end
  end
  if outbox ~= '' then redis.call('EXPIRE', key_outbox(outbox), 31536000) end

  -- They count as members of the group.
  local function open_members(ids)
    redis.call('SADD', key_groups(), group)
    if redis.call('EXISTS', key_ended(group)) == 0 then
      add_all(key_open(group), ids)
    else
      for _, id in ipairs(ids) do count_open(group, id) end
      redis.call('EXPIRE', key_ended(group), 31536000)
    end
    redis.call('EXPIRE', key_open(group), 31536000)
  end

  -- Nothing to look at any more, and one row of arguments serves a whole block.
  if plain then
    local n = 0
    for _, b in ipairs(blocks) do
      local row, ids = { '', 'status', 'queued', 'enqueued_at', now_iso }, {}
      if b.call ~= '' then row[6], row[7] = 'call', b.call end
      local before = #row
      for f = 1, b.width do row[before + 2 * f - 1], row[before + 2 * f] = ARGV[b.names + f * b.step], '' end
      for i = 1, b.count do
        local first = b.ids + (i - 1) * b.size
        n = n + 1
        row[1], ids[i] = keys[n], ARGV[first]
        for f = 1, b.width do row[before + 2 * f] = ARGV[first + f * b.step] end
        redis.call('HSET', unpack(row))
      end
      for first = 1, b.count, 1000 do
        local last = math.min(first + 999, b.count)
        redis.call('RPUSH', key_queue(b.queue), unpack(ids, first, last))
        if group ~= '' then redis.call('SADD', key_group(group), unpack(ids, first, last)) end
      end
      if group ~= '' then open_members(ids) end
      rings[b.queue] = true
    end
    for queue in pairs(rings) do
      redis.call('SADD', key_queues(), key_queue(queue))
      ring(queue)
    end
    return { 'ok', now, 'queued' }
  end

  -- Who still waits to be freed by an earlier run of one of these, or of one that these will wait for, goes on first: later they
  -- could not be told apart. That may be one of these as well.
  if redis.call('EXISTS', key_freeing()) == 1 then
    for _, j in ipairs(jobs) do
      if not j.repeated then
        settle_dependants(j.id, now)
        for _, dependency in ipairs(j.block.waits_for) do settle_dependants(dependency, now) end
      end
    end
    for _, j in ipairs(jobs) do j.was = redis.call('HGET', key_job(j.id), 'status') end
  end

  -- Make room for a job whose id is there already. One that waits in the right place keeps it.
  local function replace(j, b)
    if not j.was then return false end
    local stays = j.was == 'queued' and j.origin == b.queue and not b.front and #b.waits_for == 0 and b.due == 0 and b.after == ''
    if stays and redis.call('LREM', key_intermediate(b.queue), 0, j.id) > 0 then stays = false end
    if not stays then leave(j.id, j.was, j.origin) end
    redis.call('DEL', key_job(j.id), key_dependencies(j.id))
    return stays
  end

  -- The dependencies that the job must wait for. One that comes later in the same call isn't there yet, but will be.
  local function open_dependencies(j, b)
    local open = {}
    for _, dependency in ipairs(b.waits_for) do
      local beside = in_batch[dependency]
      if dependency ~= j.id and ((beside and not beside.repeated) or not is_met(dependency, b.allow_failure)) then
        open[#open + 1] = dependency
      end
    end
    return open
  end

  local function write(j, b, ...)
    local row = { ... }
    if b.call ~= '' then row[#row + 1], row[#row + 2] = 'call', b.call end
    for f = 1, b.width do row[#row + 1], row[#row + 2] = ARGV[b.names + f * b.step], ARGV[j.first + f * b.step] end
    redis.call('HSET', key_job(j.id), unpack(row))
  end

  local function defer(j, b, open)
    write(j, b, 'status', 'deferred', 'due', b.due)
    redis.call('ZADD', key_deferred(b.queue), seconds(now), j.id)
    redis.call('DEL', key_unmet(j.id), key_dependencies(j.id))
    for _, dependency in ipairs(open) do redis.call('SADD', key_dependents(dependency), j.id) end
    add_all(key_unmet(j.id), open)
    add_all(key_dependencies(j.id), b.waits_for)
    bound_unmet(j.id)
    return 'deferred'
  end

  -- Until every member of a group has ended.
  local function wait_for_group(j, b)
    write(j, b, 'status', 'deferred', 'due', b.due, 'after', b.after)
    redis.call('ZADD', key_deferred(b.queue), seconds(now), j.id)
    redis.call('HSET', key_after(b.after), j.id, b.when)
    redis.call('EXPIRE', key_after(b.after), 31536000)
    redis.call('ZADD', key_watched(), 'NX', seconds(now), b.after)
    return 'deferred'
  end

  local function place(j, b)
    local stays, open = replace(j, b), open_dependencies(j, b)
    if b.after ~= '' then return wait_for_group(j, b) end
    if #open > 0 then return defer(j, b, open) end
    if b.due > 0 then
      write(j, b, 'status', 'scheduled')
      redis.call('ZADD', key_scheduled(b.queue), seconds(b.due), j.id)
      if redis.call('ZRANGE', key_scheduled(b.queue), 0, 0)[1] == j.id then rings[b.queue] = true end
      return 'scheduled'
    end
    write(j, b, 'status', 'queued', 'enqueued_at', now_iso)
    if not stays then push(b.queue, j.id, b.front) end
    rings[b.queue] = true
    return 'queued'
  end

  for _, j in ipairs(jobs) do
    local b = j.block
    if j.repeated then
      j.word = 'already'
    elseif in_batch[j.id] == j then
      rings[b.queue] = rings[b.queue] or false
      j.word = place(j, b)
      if b.ttl > 0 then keep_for(key_job(j.id), b.ttl) end
      if group ~= '' and b.after == '' then
        redis.call('SADD', key_group(group), j.id)
        open_members({ j.id })
      end
    end
  end
  -- Who has left a group may have been the last that it waited for. Those that it lets go then may be among these, and so are put into
  -- their places before.
  for _, j in ipairs(jobs) do
    if j.word and not j.repeated and is_group(j.group) and redis.call('HGET', key_job(j.id), 'group_id') ~= j.group then
      take_out(j.group, j.id, now)
    end
  end
  -- One whose members have all ended lets go at once.
  for _, b in ipairs(blocks) do
    if b.after ~= '' then
      conclude(b.after, now)
      for _, j in ipairs(jobs) do
        if j.block == b and j.word == 'deferred' then j.word = redis.call('HGET', key_job(j.id), 'status') end
      end
    end
  end
  local reply = { 'ok', now }
  for i, j in ipairs(jobs) do reply[i + 2] = j.refused or in_batch[j.id].word end
  for queue, wake in pairs(rings) do
    redis.call('SADD', key_queues(), key_queue(queue))
    if wake then ring(queue) end
  end
  return reply
end
