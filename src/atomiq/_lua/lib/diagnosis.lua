-- The doctor's eyes: is a job where its status says, there once, and will it get on? Nothing here writes.

-- The container of each status; _core/states.py has the same.
local container_of = { queued = 'queue', scheduled = 'scheduled', deferred = 'deferred', started = 'wip', finished = 'finished',
  failed = 'failed', stopped = 'failed', canceled = 'canceled' }

local function container_key(container, queue)
  if container == 'queue' then return key_queue(queue) end
  if container == 'intermediate' then return key_intermediate(queue) end
  if container == 'scheduled' then return key_scheduled(queue) end
  if container == 'deferred' then return key_deferred(queue) end
  if container == 'wip' then return key_wip(queue) end
  if container == 'finished' then return key_finished(queue) end
  if container == 'failed' then return key_failed(queue) end
  return key_canceled(queue)
end

-- Will the hash of a waiting job vanish though nobody gave it a ttl? A running one's may not vanish at all.
local function fades(id, status, ttl)
  if status ~= 'started' and (status == 'finished' or status == 'failed' or status == 'stopped' or status == 'canceled' or
    (tonumber(ttl or '') or 0) > 0) then return false end
  return redis.call('PTTL', key_job(id)) >= 0
end

local function outside_group(id, group)
  return is_set(group) and redis.call('SISMEMBER', key_group(group), id) == 0
end

-- A place of a list. Long ones are searched for `reach` entries from both ends; `unsure` when that was not all.
local function look_into_list(id, place, key, reach)
  place.at = redis.call('LPOS', key, id, 'MAXLEN', reach)
  local last = redis.call('LPOS', key, id, 'RANK', -1, 'MAXLEN', reach)
  place.twice = place.at and last and place.at ~= last
  place.at = place.at or last
  place.unsure = not place.at and redis.call('LLEN', key) > 2 * reach
  return place
end

-- Where the job is: in the containers of its own queue, or where somebody saw it (`hints`: container, queue, execution, ...). A hint
-- `seen` or `unseen` says that the list of this queue was read whole.
local function places_of(job, hints, reach)
  local found, looked, id, read = {}, {}, job.id, {}
  local function look(container, queue, execution, asked)
    local key, member = container_key(container, queue), execution == '' and id or id .. ':' .. execution
    if looked[key .. ' ' .. member] then return end
    looked[key .. ' ' .. member] = true
    local place = { id = id, container = container, queue = queue, execution = execution }
    if container == 'queue' or container == 'intermediate' then
      look_into_list(id, place, key, reach)
      if place.unsure and read[queue] then place.at = 0 end
      if place.unsure and asked and read[queue] == nil then job.unsure = true end
    else
      place.at = tonumber(redis.call('ZSCORE', key, member) or '')
    end
    if place.at then found[#found + 1] = place end
  end
  for i = 1, #hints, 3 do
    if hints[i] == 'seen' or hints[i] == 'unseen' then read[hints[i + 1]] = hints[i] == 'seen' end
  end
  for i = 1, #hints, 3 do
    if hints[i] ~= 'seen' and hints[i] ~= 'unseen' then look(hints[i], hints[i + 1], hints[i + 2], true) end
  end
  if job.origin ~= '' then
    for _, container in ipairs({ 'queue', 'intermediate', 'scheduled', 'deferred', 'finished', 'failed', 'canceled' }) do
      look(container, job.origin, '', job.status == 'queued')
    end
    local executions = redis.call('ZRANGE', key_executions(id), 0, 99)
    if job.execution ~= '' then executions[#executions + 1] = job.execution end
    for _, execution in ipairs(executions) do look('wip', job.origin, execution) end
  end
  return found
end

-- Is the time over for which a registry lists an id? What is left then is upkeep's to clear.
local function outlived(place, now)
  return (place.container == 'finished' or place.container == 'failed') and place.at >= 0 and place.at * 1000 <= now + 2000
end

-- The lease by which a started job is held: that of the execution it names, or else (RQ's jobs name none) any of its queue.
local function lease_of(job)
  local held
  for _, place in ipairs(job.places) do
    if place.container == 'wip' and place.queue == job.origin then
      if place.execution == job.execution then return place end
      held = held or place
    end
  end
  return held
end

local function is_live(place, now)
  return place.at == math.huge and redis.call('EXISTS', key_execution(place.id, place.execution)) == 1 or
    (place.at < math.huge and place.at * 1000 > now)
end

local function fault(job, word, place, detail)
  job.faults[#job.faults + 1] = { word = word, place = place, detail = detail or '' }
end

-- Of a job that runs: how long ago its lease was over. RQ looks for such leases more rarely than we do.
local function fault_lease(job, lease, overdue, overdue_rq, now)
  if lease.at == math.huge then
    if not is_live(lease, now) then fault(job, 'lease_over', lease) end
    return
  end
  local late = now - lease.at * 1000
  if late > (lease.execution == job.execution and overdue or overdue_rq) then
    fault(job, 'lease_over', lease, format('%d', late / 1000))
  end
end

-- RQ lists a job that repeats among the finished ones as well.
local function excuse_of(job, place, now)
  if outlived(place, now) then return 'outlived' end
  local repeats = place.container == 'finished' and (job.status == 'scheduled' or job.status == 'queued' or job.status == 'started')
  return repeats and redis.call('HEXISTS', key_job(job.id), 'repeats_left') == 1 and 'repeats' or ''
end

local function fault_places(job, overdue, overdue_rq, now)
  local own_container, own, prepared, intermediate = container_of[job.status], nil, false, false
  if job.status == 'started' then own = lease_of(job) end
  for _, place in ipairs(job.places) do
    local right = place.container == own_container and place.queue == job.origin
    if place == own then
      fault_lease(job, place, overdue, overdue_rq, now)
    elseif place.container == 'wip' then
      -- RQ opens the execution first and says started then.
      if job.status == 'queued' and is_live(place, now) then prepared = true else fault(job, 'stale_lease', place) end
    elseif right then
      own = place
      if place.twice then fault(job, 'twice', place) end
    elseif place.container == 'intermediate' then
      intermediate = place
    elseif job.status == 'created' and place.container == 'queue' and place.queue == job.origin then
      fault(job, 'not_queued', place)
    else
      fault(job, 'double', place, excuse_of(job, place, now))
    end
  end
  job.own = own
  -- RQ's worker takes it out of there when it says started.
  if intermediate and not prepared then fault(job, 'stuck', intermediate) end
  if not own_container or own or (job.status == 'queued' and (prepared or intermediate)) then return end
  if job.status ~= 'queued' or not job.unsure then fault(job, 'orphan') end
end

-- A job that has ended is kept for as long as its registry says, and no longer.
local function fault_ttl(job)
  local own = job.own
  if fades(job.id, job.status, job.ttl) then
    if job.status ~= 'created' then fault(job, 'will_expire') end
  elseif own and own.container ~= 'queue' and redis.call('PTTL', key_job(job.id)) < 0 then
    local kept = (own.container == 'finished' or own.container == 'failed') and own.at >= 0 and own.at < math.huge
    local canceled = own.container == 'canceled' and (tonumber(job.failure_ttl) or 1) > 0
    if kept or canceled then fault(job, 'no_ttl', own) end
  end
end

-- How a deferred job stands with one dependency: missing, met, behind (ended otherwise, and may be requeued) or open; and whether
-- that one knows of it.
local function standing(job, dependency)
  if redis.call('HEXISTS', key_freeing(), dependency) == 1 then return 'open', true end
  local status = redis.call('HGET', key_job(dependency), 'status')
  if not status then return 'missing', true end
  if is_met(dependency, job.allow) then return 'met', true end
  local ended = status == 'failed' or status == 'stopped' or status == 'canceled'
  return ended and 'behind' or 'open', redis.call('SISMEMBER', key_dependents(dependency), job.id) == 1
end

-- How a deferred job stands with some of what it waits for: how many are what, and the names of a few.
local function count_standings(job, waits_for)
  local count, names = { missing = 0, met = 0, behind = 0, open = 0 }, { missing = {}, met = {}, behind = {}, open = {} }
  job.unlinked = {}
  for _, dependency in ipairs(waits_for) do
    if dependency ~= job.id then
      local how, linked = standing(job, dependency)
      count[how] = count[how] + 1
      if #names[how] < 5 then names[how][#names[how] + 1] = dependency end
      if not linked then job.unlinked[#job.unlinked + 1] = dependency end
    end
  end
  return count, names
end

-- Are all of very many gone, and nobody is being freed? That takes 2 ms for 3,000; how each of them stands, four times as long.
local function all_missing(list, all)
  if all > 3000 or redis.call('EXISTS', key_freeing()) == 1 then return false end
  local keys = redis.call('SMEMBERS', list)
  for n = 1, #keys do keys[n] = key_job(keys[n]) end
  for first = 1, #keys, 1000 do
    if redis.call('EXISTS', unpack(keys, first, math.min(first + 999, #keys))) > 0 then return false end
  end
  return true
end

-- One that can still end is enough; all of many are looked at only if a few have none.
local function fault_waiting(job)
  if is_set(job.after) then
    if redis.call('HEXISTS', key_after(job.after), job.id) == 0 then fault(job, 'deferred_for_ever', nil, 'free ') end
    return
  end
  local listed = redis.call('EXISTS', key_unmet(job.id)) == 1
  local list = listed and key_unmet(job.id) or key_dependencies(job.id)
  local count, names = count_standings(job, redis.call('SRANDMEMBER', list, 20))
  if count.open + count.behind == 0 then
    local all = redis.call('SCARD', list)
    if all > 300 and not (count.met == 0 and all_missing(list, all)) then return end
    if all > 20 then count, names = count_standings(job, redis.call('SRANDMEMBER', list, 300)) end
  end
  if count.open + count.behind == 0 then
    local cancel = count.missing > 0 and not job.allow and (listed or count.met == 0)
    fault(job, 'deferred_for_ever', nil, (cancel and 'cancel ' or 'free ') .. table.concat(names.missing, ' '))
    return
  end
  if #job.unlinked > 0 then fault(job, 'unlinked', nil, table.concat(job.unlinked, ' ', 1, math.min(#job.unlinked, 5))) end
  if count.open == 0 then fault(job, 'behind', nil, table.concat(names.behind, ' ')) end
end

-- All that is wrong with a job, as it is at this instant. `witness` tells this stay of it in its place from any other.
local function diagnose(id, hints, reach, overdue, overdue_rq, now)
  local said = redis.pcall('HMGET', key_job(id), 'status', 'origin', 'ttl', 'failure_ttl', 'execution', 'group_id', 'enqueued_at',
    'started_at', 'allow_dependency_failures', 'after')
  local job = { id = id, faults = {}, places = {}, witness = '' }
  if said.err then return job end
  job.status, job.origin, job.ttl, job.failure_ttl = said[1] or 'created', said[2] or '', said[3] or '', said[4] or ''
  local allow = said[9]
  job.execution, job.group, job.allow, job.after = said[5] or '', said[6] or '', is_set(allow), said[10]
  job.witness = job.status .. ' ' .. (said[7] or '') .. ' ' .. job.execution .. ' ' .. (said[8] or '')
  job.there = redis.call('EXISTS', key_job(id)) == 1
  job.places = places_of(job, hints, reach)
  if job.unsure then fault(job, 'unsure') end
  if not job.there then
    for _, place in ipairs(job.places) do
      if not outlived(place, now) then fault(job, 'no_job', place, place.at == math.huge and 'inf' or format('%d', place.at)) end
    end
  elseif redis.call('HEXISTS', key_job(id), 'data') == 0 then
    for _, place in ipairs(job.places) do
      if place.container == 'wip' and is_live(place, now) then return job end
    end
    fault(job, 'zombie')
  elseif job.status ~= 'created' and not container_of[job.status] then
    fault(job, 'unknown_status', nil, job.status)
  elseif job.origin ~= '' then
    fault_places(job, overdue, overdue_rq, now)
    fault_ttl(job)
    if outside_group(id, job.group) then fault(job, 'not_in_group', nil, job.group) end
    if job.status == 'deferred' and job.own then fault_waiting(job) end
  elseif job.status ~= 'created' then
    fault(job, 'no_origin', nil, job.status)
  end
  return job
end
