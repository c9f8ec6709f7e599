-- Time. Inside: integer milliseconds. At the border: RQ's formats.

-- `now` as an argument is for tests; 0 means the server's own clock, the only one that counts in production.
local function clock(argument)
  local given = tonumber(argument)
  if given and given > 0 then return given end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Unix seconds with three decimals. `tostring` would turn to scientific notation.
local function seconds(ms)
  return string.format('%.3f', ms / 1000)
end

-- 2026-11-21T01:37:08.574000Z, RQ's spelling. The sandbox has no os.date; days to civil date after Howard Hinnant's algorithm.
local function iso(ms)
  local days = math.floor(ms / 86400000)
  local rest = ms - days * 86400000
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local second = math.floor(rest / 1000)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z', year, month, day,
    math.floor(second / 3600), math.floor(second / 60) % 60, second % 60, rest % 1000)
end
