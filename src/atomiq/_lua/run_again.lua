-- run_again: a job once more by its Retry or Repeat (RQ's Job.retry, Repeat.schedule); `left`: how many its caller knows of
-- from: created queued deferred scheduled started finished failed stopped canceled
-- to: queued scheduled
-- keys: job
-- args: id queue by left:int front:flag token fields:list
-- says: ok already gone
-- cost: O(queue) for a queued job (LREM); what is left to free of dependants of the last run, at most 10,000
local job = fields_of(k_job, 'status', 'origin', 'data', 'ttl', 'group_id', 'settled')
if not job.status or not job.data then return { 'gone', '' } end
local done = 'run_again:' .. a_token
if job.settled == done then return { 'already', job.status } end
local field = a_by == 'repeat' and 'repeats_left' or 'retries_left'
-- writes below
settle_dependants(a_id, NOW)
leave(a_id, job.status, job.origin or a_queue)
if #a_fields > 0 then redis.call('HSET', k_job, unpack(a_fields)) end
redis.call('HSET', k_job, 'origin', a_queue, 'execution', '', 'settled', done, field, a_left)
redis.call('HDEL', k_job, 'due', 'abandoned')
local delay
if a_by == 'repeat' then delay = use_repeat(a_id, a_left) else delay = use_retry(a_id) end
if is_group(job.group_id) then reopen_member(job.group_id, a_id) end
local status = again(a_id, a_queue, delay or 0, a_front, NOW)
local ttl = tonumber(job.ttl or '')
if ttl and ttl > 0 then keep_for(k_job, ttl) end
return { 'ok', status }
