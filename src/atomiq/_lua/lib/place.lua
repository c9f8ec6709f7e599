-- Containers: where a job is, getting it in, getting it out. Every status has one container; see _core/states.py.

-- Wake one waiter of the queue. A bell that nobody hears stays rung, once.
local function ring(queue)
  redis.call('ZADD', key_bell(queue), '0', '1') -- a number would be printed first
end

-- At its maxmemory a server refuses a script whose first write may need more. What has to go on even then begins with a write that
-- needs none: a lease that can't be extended would be taken for that of a dead worker.
local function even_without_memory()
  redis.call('DEL', key_made())
end

local function push(queue, id, front)
  redis.call(front and 'LPUSH' or 'RPUSH', key_queue(queue), id)
end

-- Members into a set, few enough at once for a call.
local function add_all(key, members)
  for first = 1, #members, 1000 do
    redis.call('SADD', key, unpack(members, first, math.min(first + 999, #members)))
  end
end

-- A time to live in seconds as text, nothing for ever. What a hash says may be beyond what the server can count, and an error in the
-- middle of a script would leave half of it done: a thousand years are enough. As text because a number that is an argument of a
-- command costs half as much as the command.
local function lifetime(ttl)
  return ttl >= 0 and format('%d', ttl < 31536000000 and ttl or 31536000000)
end

local function keep(key, kept)
  if kept then redis.call('EXPIRE', key, kept) else redis.call('PERSIST', key) end
end

-- For `ttl` seconds; below zero for ever.
local function keep_for(key, ttl)
  keep(key, lifetime(ttl))
end

-- What a hash says, or `otherwise` when that is no number to count with: no text, not nan, not infinite, and not so large that one
-- more or less changes nothing, by which retries would never come to an end.
local function number_of(text, otherwise)
  local number = tonumber(text or '') or otherwise
  return number > -9e15 and number < 9e15 and number or otherwise
end

local function is_set(value)
  return value and value ~= '' and value ~= '0'
end

-- The fields of a hash as a table, false for what is absent.
local function fields_of(key, ...)
  local names = {...}
  local values = redis.call('HMGET', key, ...)
  local out = {}
  for i, name in ipairs(names) do out[name] = values[i] end
  return out
end

-- A key of ours that is of another type holds nothing that anybody could read; met after the first write, it would leave half done
-- what has begun. `verb`: one that only looks.
local function drop_foreign(key, verb)
  local said = redis.pcall(verb, key)
  if type(said) == 'table' and said.err:find('WRONGTYPE', 1, true) then redis.call('DEL', key) end
end

-- Take an execution out of every place that knows it. The worker's own counters are not touched.
local function close_execution(queue, id, execution, worker)
  redis.call('ZREM', key_wip(queue), id .. ':' .. execution)
  redis.call('DEL', key_execution(id, execution))
  redis.call('ZREM', key_executions(id), execution)
  if worker then redis.call('HDEL', key_worker_executions(worker), execution) end
end

-- Take every execution away from whoever runs it: a settlement that comes later is refused as not_yours. The list of executions
-- expires some time after a lease that nobody extends; the job itself knows the last one for as long as it runs.
local function close_executions(queue, id)
  for _, execution in ipairs(redis.call('ZRANGE', key_executions(id), 0, -1)) do
    local worker = redis.call('HGET', key_execution(id, execution), 'worker_name')
    close_execution(queue, id, execution, worker)
  end
  local job = fields_of(key_job(id), 'execution', 'worker_name')
  if is_set(job.execution) then close_execution(queue, id, job.execution, job.worker_name) end
  redis.call('DEL', key_executions(id))
end

-- A deferred job stops waiting: its own list of what it waits for, and its name with each of these. Jobs deferred by RQ have no
-- such list, only the set of all they depend on.
local function unregister(id)
  local waits_for = redis.call('SMEMBERS', key_unmet(id))
  if #waits_for == 0 then waits_for = redis.call('SMEMBERS', key_dependencies(id)) end
  for _, dependency in ipairs(waits_for) do redis.call('SREM', key_dependents(dependency), id) end
  redis.call('DEL', key_unmet(id))
end

-- Take a job out of the container that its status names.
local function leave(id, status, queue)
  if status == 'queued' then
    -- Handed out by dequeue_any, or by RQ's worker that has not started it yet, it is in the second.
    if redis.call('LREM', key_queue(queue), 0, id) == 0 then redis.call('LREM', key_intermediate(queue), 0, id) end
  elseif status == 'scheduled' then
    redis.call('ZREM', key_scheduled(queue), id)
  elseif status == 'deferred' then
    redis.call('ZREM', key_deferred(queue), id)
    unregister(id)
  elseif status == 'started' then
    close_executions(queue, id)
  elseif status == 'finished' then
    redis.call('ZREM', key_finished(queue), id)
  elseif status == 'failed' or status == 'stopped' then
    redis.call('ZREM', key_failed(queue), id)
  elseif status == 'canceled' then
    redis.call('ZREM', key_canceled(queue), id)
  end
end

-- Into the queue, or into the schedule when its time has not come. Says the new status.
local function put(id, queue, due, front, now)
  if due and due > now then
    redis.call('HSET', key_job(id), 'status', 'scheduled')
    redis.call('ZADD', key_scheduled(queue), seconds(due), id)
    if redis.call('ZRANGE', key_scheduled(queue), 0, 0)[1] == id then ring(queue) end
    return 'scheduled'
  end
  redis.call('HSET', key_job(id), 'status', 'queued', 'enqueued_at', iso(now))
  push(queue, id, front)
  redis.call('SADD', key_queues(), key_queue(queue))
  ring(queue)
  return 'queued'
end
