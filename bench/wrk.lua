-- What wrk sends, and its report as a line of JSON: wrk -s wrk.lua URL -- METHOD [BODY_FILE]

function init(args)
  wrk.method = args[1]
  if args[2] then
    local file = assert(io.open(args[2], 'rb'))
    wrk.body = file:read('*a')
    file:close()
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"bytes":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f}',
    summary.requests, summary.bytes, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
