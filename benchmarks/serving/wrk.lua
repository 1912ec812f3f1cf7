-- Sends the requests of one load and checks every answer's status and PNG signature.
-- WRK_STATUS: status that an answer must have. WRK_SAMPLES: folder for every WRK_EVERYth answer
-- and for the first wrong ones. The last line on stdout is a summary as JSON.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  wrk.method = os.getenv("WRK_METHOD") or "POST"
  local body = os.getenv("WRK_BODY")
  if body and body ~= "" then
    wrk.body = body
    wrk.headers["Content-Type"] = "application/json"
  end
  local etag = os.getenv("WRK_ETAG")
  if etag and etag ~= "" then
    wrk.headers["If-None-Match"] = etag
  end
  status_wanted = tonumber(os.getenv("WRK_STATUS") or "200")
  samples = os.getenv("WRK_SAMPLES") or ""
  every = tonumber(os.getenv("WRK_EVERY") or "100")
  seen, bad, kept = 0, 0, 0
end

function response(status, headers, body)
  seen = seen + 1
  local good = status == status_wanted
  if good and status == 200 then
    good = body:sub(2, 4) == "PNG" and body:sub(-8, -5) == "IEND"
  end
  if not good then
    bad = bad + 1
  end
  if samples ~= "" and kept < 20 and (not good and bad <= 3 or good and seen % every == 1) then
    kept = kept + 1
    local kind = good and "answer" or status .. ".wrong"
    local file = io.open(string.format("%s/%04d.%s", samples, kept, kind), "wb")
    if file then
      file:write(body)
      file:close()
    end
  end
end

function done(summary, latency, requests)
  local bad_answers = 0
  for _, thread in ipairs(threads) do
    bad_answers = bad_answers + (thread:get("bad") or 0)
  end
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_s": %.6f, "bytes": %d, "bad": %d, "timeouts": %d, '
      .. '"socket_errors": %d, "p50_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, bad_answers, e.timeout,
    e.connect + e.read + e.write,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
