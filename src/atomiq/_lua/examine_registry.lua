-- examine_registry: a page of a registry; which of its members are not what a member of it has to be
-- from: none
-- to: none
-- keys: queues
-- args: container queue cursor limit:int
-- says: ok
-- cost: O(page); a small registry comes whole
local page = redis.call('ZSCAN', container_key(a_container, a_queue), a_cursor, 'COUNT', a_limit)
local odd, outlived_count, now_seconds = {}, 0, NOW / 1000
for i = 1, #page[2], 2 do
  local member, score = page[2][i], tonumber(page[2][i + 1])
  local id, execution = member, ''
  if a_container == 'wip' then
    id, execution = member:match('^(.*):([^:]*)$')
    if not id then id, execution = member, '' end -- RQ before 2.0 listed the job alone
  end
  local job = redis.pcall('HMGET', key_job(id), 'status', 'origin', 'execution')
  local owner = job[3]
  if job.err or container_of[job[1] or ''] ~= a_container or job[2] ~= a_queue or
    redis.call('HEXISTS', key_job(id), 'data') == 0 or
    (a_container == 'wip' and (score < now_seconds or (is_set(owner) and owner ~= execution))) then
    if not job.err and not job[1] and (a_container == 'finished' or a_container == 'failed') and score >= 0 and
      score <= now_seconds + 2 then
      outlived_count = outlived_count + 1
    else
      odd[#odd + 1], odd[#odd + 2] = id, execution
    end
  end
end
return { 'ok', page[1], #page[2] / 2, outlived_count, odd }
