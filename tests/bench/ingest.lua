-- Sends the prepared requests, one "signature body" per line of the file; every
-- thread takes a part of its own, once, or again and again for "repeat".
local threads = 0
local requests = {}
local next_request = 0
local again = false

function setup(thread)
  thread:set("part", threads)
  threads = threads + 1
end

function init(args)
  local file, parts = args[1], tonumber(args[2])
  again = args[3] == "repeat"
  local number = 0
  for line in io.lines(file) do
    if number % parts == part then
      local signature, body = line:sub(1, 64), line:sub(66)
      requests[#requests + 1] = wrk.format(
        "POST", "/webhook", { ["X-Signature"] = signature }, body
      )
    end
    number = number + 1
  end
end

function request()
  next_request = next_request + 1
  if next_request > #requests then
    if not again then wrk.thread:stop() end
    next_request = 1
  end
  return requests[next_request]
end

function done(summary, latency)
  print(string.format(
    "RESULT %d %d %d %d %d %d",
    summary.requests,
    summary.duration,
    latency:percentile(50),
    latency:percentile(99),
    summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write +
      summary.errors.timeout
  ))
end
