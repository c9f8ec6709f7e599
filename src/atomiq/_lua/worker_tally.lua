-- worker_tally: what children of a worker have settled, and its hash doesn't count yet; `tallies` are pairs of a name and its sums
-- from: none
-- to: none
-- keys: worker
-- args: worker tallies:list
-- says: ok
-- cost: O(tallies)
-- writes below
for i = 1, #a_tallies, 2 do
  add_tally(a_worker, a_tallies[i], a_tallies[i + 1])
end
return 'ok'
