-- enter_registry: a job that doesn't run into a registry by hand, out of wherever it was, with the status of that registry (RQ's registry.add)
-- from: gone created queued deferred scheduled finished failed stopped canceled
-- to: finished failed stopped deferred scheduled canceled gone
-- keys: job
-- args: id registry queue status score ttl:int xx:flag keep:int fields:list
-- says: ok busy
-- cost: O(log registry); O(queue) for a job that waits in a queue; O(freed), at most 100 dependants, when it has ended; O(dependencies) of one that is deferred
-- An id without a job is only written down. `score`: empty for `ttl` seconds from now. `keep`: seconds that the job is kept, -2 if that is
-- to stay as it is. `fields` are stored with the job, or make it.
local was = redis.call('ZSCORE', a_registry, a_id)
local job = fields_of(k_job, 'status', 'origin', 'ttl', 'group_id', 'allow_dependency_failures')
if a_xx and not was then return { 'ok', 0 } end
if job.status == 'started' then return { 'busy', 0 } end
-- writes below
local status = a_status == 'failed' and job.status == 'stopped' and 'stopped' or a_status
local said = status
if #a_fields > 0 then redis.call('HSET', k_job, unpack(a_fields)) end
local there = job.status or #a_fields > 0
if there and (job.status ~= status or job.origin ~= a_queue) then
  if job.status then leave(a_id, job.status, job.origin or a_queue) end
  redis.call('HSET', k_job, 'status', status, 'origin', a_queue)
  if status == 'failed' or status == 'stopped' then
    said = bury(a_id, a_queue, status, a_keep, NOW)
  elseif status == 'canceled' then
    put_canceled(a_id, a_queue, NOW)
  elseif status == 'finished' then
    if is_group(job.group_id) then member_ended(job.group_id, a_id, status, NOW) end
    end_dependants(a_id, status, NOW)
    keep_for(k_job, a_keep)
    keep_for(key_dependencies(a_id), a_keep)
  else
    redis.call('PERSIST', k_job)
    if status == 'deferred' then list_unmet(a_id, is_set(job.allow_dependency_failures)) end
    local ttl = tonumber(job.ttl or '')
    if ttl and ttl > 0 then keep_for(k_job, ttl) end
    if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
  end
elseif there and a_keep == 0 then
  leave(a_id, status, a_queue)
  erase(a_id, false, a_queue, NOW)
  said = 'gone'
elseif there and a_keep > -2 then
  keep_for(k_job, a_keep)
  keep_for(key_dependencies(a_id), a_keep)
end
if said ~= 'gone' then
  redis.call('ZADD', a_registry, a_score ~= '' and a_score or end_of(a_ttl, NOW), a_id)
  if status == 'scheduled' and redis.call('ZRANGE', a_registry, 0, 0)[1] == a_id then ring(a_queue) end
end
return { 'ok', was and 0 or 1 }
