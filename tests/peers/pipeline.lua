-- wrk: several requests in one write. usage: wrk -s pipeline.lua URL -- DEPTH
init = function(arguments)
  local request = wrk.format()
  batch = string.rep(request, tonumber(arguments[1]))
end

request = function()
  return batch
end
