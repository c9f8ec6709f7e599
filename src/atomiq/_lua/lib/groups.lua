-- Groups whose members are counted: which of them are open, how the others ended, and which jobs wait for all of them. Groups that RQ
-- made are counted from when somebody first asks (look_through).

-- Is this what the hash of a member says of its group? RQ leaves the field empty for others.
local function is_group(name)
  return name and name ~= ''
end

-- A member is open (again).
local function count_open(group, id)
  redis.call('SADD', key_open(group), id)
  local before = redis.call('HGET', key_ended(group), id)
  if before then
    redis.call('HDEL', key_ended(group), id)
    redis.call('HINCRBY', key_ended(group), '#' .. before, -1)
  end
end

-- A member has ended: `how` is its status, or gone. Says whether it is one that is counted.
local function count_end(group, id, how)
  local ended = key_ended(group)
  local before = redis.call('HGET', ended, id)
  if redis.call('SREM', key_open(group), id) == 0 and not before then return false end
  if before ~= how then
    if before then redis.call('HINCRBY', ended, '#' .. before, -1) end
    redis.call('HSET', ended, id, how)
    if redis.call('HINCRBY', ended, '#' .. how, 1) == 1 then redis.call('EXPIRE', ended, 31536000) end
  end
  return true
end

-- A member's hash is gone. One that had ended keeps its place; if it had not finished, now it never will.
local function count_gone(group, id)
  local before, how = redis.call('HGET', key_ended(group), id), 'gone'
  if not before then return count_end(group, id, how) end
  if before ~= 'finished' then redis.call('HSET', key_ended(group), '#lost', 1) end
  return true
end

-- Into the canceled registry. RQ keeps canceled jobs for ever; here they go when a failed job would, or after `otherwise` seconds.
local function mark_canceled(id, queue, otherwise, now)
  local ttl = number_of(redis.call('HGET', key_job(id), 'failure_ttl'), otherwise)
  redis.call('HSET', key_job(id), 'status', 'canceled')
  -- RQ may enqueue it again and leave it the ttl that it gets now. To whoever claims it then this is the sign of it.
  redis.call('HSETNX', key_job(id), 'attempts', 0)
  redis.call('ZADD', key_canceled(queue), seconds(now), id)
  keep_for(key_job(id), ttl > 0 and ttl or -1)
end

-- What becomes of a job that waits for a group with no open member: it runs (1), waits on (0), or is canceled (-1). `when`: ended,
-- finished (all), failed (any).
local function verdict_of(when, failures, lost)
  if when == 'finished' and failures > 0 then return lost and -1 or 0 end
  return when == 'failed' and failures == 0 and -1 or 1
end

-- If no member is open, those that wait for the group go on: up to 100, upkeep sees to more, from where this ended: those that have
-- to wait on stand in nobody's way. A member that is not finished may be requeued and finish, as long as it is there.
local function conclude(group, now)
  if redis.call('EXISTS', key_open(group)) == 1 then return end
  local waiting, ended = key_after(group), key_ended(group)
  local at = redis.call('HGET', ended, '#after_at') or '0'
  local following, page = unpack(redis.call('HSCAN', waiting, at, 'COUNT', 100))
  local failures, lost = 0, nil
  if #page > 0 then
    local counts = redis.call('HMGET', ended, '#failed', '#stopped', '#canceled', '#gone', '#lost', '#finished')
    for i = 1, 4 do failures = failures + (tonumber(counts[i] or '') or 0) end
    lost = counts[5] or (tonumber(counts[4] or '') or 0) > 0
    -- Members that RQ put there, and that nobody has looked at yet.
    if redis.call('SCARD', key_group(group)) > failures + (tonumber(counts[6] or '') or 0) then return end
  end
  if following ~= at then
    redis.call('HSET', ended, '#after_at', following)
    redis.call('EXPIRE', ended, 31536000)
  end
  for i = 1, #page, 2 do
    local id, verdict = page[i], verdict_of(page[i + 1], failures, lost)
    if verdict ~= 0 then
      redis.call('HDEL', waiting, id)
      local job = fields_of(key_job(id), 'status', 'origin', 'after', 'enqueue_at_front', 'due')
      if job.status == 'deferred' and job.after == group and job.origin then
        leave(id, 'deferred', job.origin)
        if verdict == 1 then
          put(id, job.origin, number_of(job.due, 0), is_set(job.enqueue_at_front), now)
        else
          mark_canceled(id, job.origin, 86400, now)
        end
      end
    end
  end
  if redis.call('EXISTS', waiting) == 0 then
    redis.call('ZREM', key_watched(), group)
    redis.call('EXPIRE', ended, 86400)
  end
end

-- The end of a member, and of the group if it was the last one.
local function member_ended(group, id, how, now)
  if count_end(group, id, how) then conclude(group, now) end
end

local function put_canceled(id, queue, now)
  local group = redis.call('HGET', key_job(id), 'group_id')
  mark_canceled(id, queue, 31536000, now)
  if is_group(group) then member_ended(group, id, 'canceled', now) end
end

-- A job is deleted, or was found to be gone.
local function member_gone(group, id, now)
  redis.call('SREM', key_group(group), id)
  if count_gone(group, id) then conclude(group, now) end
end

-- A job is no member any more, whatever it is.
local function take_out(group, id, now)
  redis.call('SREM', key_group(group), id)
  count_open(group, id)
  redis.call('SREM', key_open(group), id)
  conclude(group, now)
end

-- A job that had ended is to run again.
local function reopen_member(group, id)
  if redis.call('HEXISTS', key_ended(group), id) == 1 then
    count_open(group, id)
    redis.call('EXPIRE', key_open(group), 31536000)
    redis.call('EXPIRE', key_ended(group), 31536000)
  end
end

-- Some members of a set: all if it isn't larger than `limit`, else a page; the place to go on is kept under `name`.
local function some_of(key, limit, ended, name)
  if redis.call('SCARD', key) <= limit then return redis.call('SMEMBERS', key) end
  local page = redis.call('SSCAN', key, redis.call('HGET', ended, name) or '0', 'COUNT', limit)
  redis.call('HSET', ended, name, page[1])
  redis.call('EXPIRE', ended, 31536000)
  return page[2]
end

-- See what nobody told us of up to `limit` members: those that RQ's producers put into the group, those that RQ's workers ended, and
-- those that expired. Says how many of the open ones are in which status, as far as looked, and what there was to see: how many
-- members, or that waited for them.
local function look_through(group, limit, now)
  local ended, open, found, seen = key_ended(group), key_open(group), {}, redis.call('HLEN', key_after(group))
  local members = some_of(key_group(group), limit, ended, '#at')
  for first = 1, #members, 1000 do
    local last = math.min(first + 999, #members)
    local opens = redis.call('SMISMEMBER', open, unpack(members, first, last))
    local ends = redis.call('HMGET', ended, unpack(members, first, last))
    for i, is_open in ipairs(opens) do
      local id, before = members[first + i - 1], ends[i]
      if is_open == 0 and before ~= 'finished' then
        if redis.call('EXISTS', key_job(id)) == 0 then
          seen = seen + redis.call('SREM', key_group(group), id)
          if before then count_gone(group, id) end
        elseif not before then
          seen = seen + redis.call('SADD', open, id)
          redis.call('EXPIRE', open, 31536000)
        end
      end
    end
  end
  for _, id in ipairs(some_of(open, limit, ended, '#open_at')) do
    local status = redis.call('HGET', key_job(id), 'status')
    if not status then
      redis.call('SREM', key_group(group), id)
      count_gone(group, id)
      seen = seen + 1
    elseif status == 'finished' or status == 'failed' or status == 'stopped' or status == 'canceled' then
      count_end(group, id, status)
      seen = seen + 1
    else
      found[status] = (found[status] or 0) + 1
    end
  end
  conclude(group, now)
  return found, seen - redis.call('HLEN', key_after(group))
end
