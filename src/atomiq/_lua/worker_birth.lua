-- worker_birth: a worker introduces itself; the name of a dead one may be taken over
-- from: none
-- to: none
-- keys: worker workers
-- args: worker lease:int ttl:int nqueues:int rest:list
-- says: ok taken
-- cost: O(queues)
local there = fields_of(k_worker, 'death', 'beat', 'lease', 'incarnation')
local incarnation = a_rest[#a_rest]
if redis.call('EXISTS', k_worker) == 1 and not there.death and there.incarnation ~= incarnation then
  local beat, lease = tonumber(there.beat or ''), tonumber(there.lease or '') or a_lease
  if not beat or beat + lease > NOW then return 'taken' end
end
-- writes below
local fields = {}
for i = a_nqueues + 1, #a_rest - 1 do fields[#fields + 1] = a_rest[i] end
-- What a dead namesake held is not ours to give back when we leave: its leases run out.
if there.incarnation and there.incarnation ~= incarnation then redis.call('DEL', key_worker_executions(a_worker)) end
-- A worker that has become a new program goes on counting; its children may be at work.
local goes_on = there.incarnation == incarnation and not there.death
if not goes_on then redis.call('DEL', k_worker) end
redis.call('HSETNX', k_worker, 'birth', iso(NOW))
redis.call('HSET', k_worker, 'beat', NOW, 'lease', a_lease, 'incarnation', incarnation, 'last_heartbeat', iso(NOW), unpack(fields))
if redis.call('EXISTS', key_worker_executions(a_worker)) == 1 then redis.call('HSET', k_worker, 'state', 'busy') end
redis.call('EXPIRE', k_worker, a_ttl)
redis.call('SADD', k_workers, k_worker)
for i = 1, a_nqueues do redis.call('SADD', key_worker_set(a_rest[i]), k_worker) end
return 'ok'
