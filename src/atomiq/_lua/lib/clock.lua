-- Time. Inside: integer milliseconds. At the border: RQ's formats.

-- The time of this call, for scripts that may come to know it without TIME: see record_success. `now` as an argument is for tests.
local told_ms = ARGV[2] ~= '0' and ARGV[2] + 0

local function clock()
  if not told_ms then
    local time = redis.call('TIME')
    local fraction = time[2] + 0
    told_ms = time[1] * 1000 + (fraction - fraction % 1000) / 1000
  end
  return told_ms
end

-- Unix seconds with three decimals. `tostring` would turn to scientific notation.
local function seconds(ms)
  return format('%.3f', ms / 1000)
end

-- The same in a third of the time, for a time that is none that a user chose: whole milliseconds, not too far from now.
local function moment(ms)
  return format('%d.%03d', ms / 1000, ms % 1000)
end

-- When a lease ends, as a score. From ten seconds on it is a whole second, up to one later than asked: those of RQ's workers are, and
-- with fractions a server reads every score of the started registry from text at each claim.
local function lease_end(lease, now)
  return lease < 10000 and moment(now + lease) or format('%d', (now + lease + 999) / 1000)
end

-- When the traces of an execution end, a minute after its lease, as a score: in RQ's way a whole second.
local function traces_end(lease, now)
  return format('%d', (now + lease) / 1000 + 60)
end

-- The last second that iso() was asked for, and its text without the fraction: most times of a call lie in one second.
local iso_second
local iso_text

-- 2026-11-21T01:37:08.574000Z, RQ's spelling. The sandbox has no os.date; days to civil date after Howard Hinnant's algorithm.
-- x - x % 1 is what math.floor says, without a call.
local function iso(ms)
  local fraction = ms % 1000
  local second = (ms - fraction) / 1000
  if second ~= iso_second then
    local rest = second % 86400
    local z = (second - rest) / 86400 + 719468
    local doe = z % 146097
    local era = (z - doe) / 146097
    local yoe = doe / 1460
    yoe = (doe - (yoe - yoe % 1) + (doe - doe % 36524) / 36524 - (doe - doe % 146096) / 146096) / 365
    yoe = yoe - yoe % 1
    local doy = doe - (365 * yoe + (yoe - yoe % 4) / 4 - (yoe - yoe % 100) / 100)
    local mp = (5 * doy + 2) / 153
    mp = mp - mp % 1
    local day = (153 * mp + 2) / 5
    day = doy - (day - day % 1) + 1
    local month = mp < 10 and mp + 3 or mp - 9
    local year = yoe + era * 400 + (month <= 2 and 1 or 0)
    local minute = (rest - rest % 60) / 60
    iso_second = second
    iso_text = format('%04d-%02d-%02dT%02d:%02d:%02d.', year, month, day, minute / 60, minute % 60, rest % 60)
  end
  return iso_text .. format('%03d000Z', fraction)
end

-- A time of which both texts are known already, from the last seconds: mostly they spare iso() the work.
local function hint_iso(known_seconds, known_iso)
  if known_iso ~= '' then iso_second, iso_text = known_seconds:sub(1, -5) + 0, known_iso:sub(1, 20) end
end

-- A second whose text the sender has made from its own clock, which is mostly the server's second too.
local function hint_second(second, text)
  iso_second, iso_text = second, text
end

-- When something that is kept for `ttl` seconds ends, as a score: whole seconds as RQ has it, as servers take long over fractions.
local function end_of(ttl, now)
  return (now - now % 1000) / 1000 + ttl
end
