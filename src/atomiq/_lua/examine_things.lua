-- examine_things: of things of one kind (traces of jobs, workers, groups, locks, containers) those that are not as they have to be
-- from: none
-- to: none
-- keys: queues
-- args: kind names:list
-- says: ok
-- cost: O(names)
local reply = { 'ok' }
for i, name in ipairs(a_names) do
  local word = judge(a_kind, name, NOW)
  if word ~= '' then
    local last = #reply
    reply[last + 1], reply[last + 2] = i - 1, word
  end
end
return reply
