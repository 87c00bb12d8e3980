-- Sends the prepared requests of the file "<name>.0", a second thread those of
-- "<name>.1", again and again: each stands behind its length in four digits.
local threads = 0
local requests
local position = 1

function setup(thread)
  thread:set("part", threads)
  threads = threads + 1
end

-- wrk lets the first thread go while the others initialize, and its clock starts
-- after that: so this only reads, and request() finds its way by itself.
function init(args)
  requests = assert(io.open(args[1] .. "." .. part, "rb")):read("*a")
end

function request()
  if position > #requests then position = 1 end
  local first = position + 4
  position = first + tonumber(requests:sub(position, first - 1))
  return requests:sub(first, position - 1)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    "RESULT %d %d %d %d %d %d",
    summary.requests,
    summary.duration,
    latency:percentile(50),
    latency:percentile(99),
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
