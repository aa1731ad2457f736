-- What the internal port answers: health, purges, draining.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local cjson = require "cjson.safe"
local clock = require "userpods.clock"
local purges = require "userpods.purges"
local running_requests = require "userpods.running_requests"
local target = require "userpods.target"

local var, header = ngx.var, ngx.header

local _M = {}

local function reply(status, words)
    ngx.status = status
    header["Content-Type"] = "application/json"
    ngx.say(cjson.encode(words))
end

--- Whether this nginx runs at all.
function _M.healthz()
    return reply(200, { status = "ok" })
end

--- Whether new connections may come: not while draining.
function _M.readyz()
    if purges.is_draining() then
        return reply(503, { status = "draining" })
    end
    return reply(200, { status = "ok" })
end

-- Forgets whom the words name. Returns true, nil and a problem, or false where they name nobody.
local function forget(words)
    local user_id, service = words.user_id, words.guests_of
    if target.is_service(service) and user_id == nil then
        return purges.purge_guests(service)
    end
    if type(user_id) == "number" and user_id == math.floor(user_id) then
        user_id = string.format("%d", user_id)
    end
    if type(user_id) ~= "string" or user_id == "" or #user_id > 1000 or service ~= nil then
        return false
    end
    return purges.purge(target.quoted(user_id))
end

--- POST {"user_id": "7"}: forget what is known of this user, and ask again about what runs.
-- {"guests_of": "user-alice"}: the same for all whom the pod of this Service is shared with.
function _M.purge()
    if ngx.req.get_method() ~= "POST" then
        header["Allow"] = "POST"
        return reply(405, { error = "method not allowed" })
    end
    ngx.req.read_body()
    local words = cjson.decode(ngx.req.get_body_data() or "")
    local ok, problem = forget(type(words) == "table" and words or {})
    if ok == false then
        return reply(400, { error = 'the body must be {"user_id": "..."} or {"guests_of": "..."}' })
    elseif not ok then
        ngx.log(ngx.ERR, "cannot forget a user: ", problem)
        return reply(500, { error = "cannot forget" })
    end
    return reply(200, { status = "ok" })
end

--- GET /drain?seconds=8&most=70: not ready from now on. Answers when `seconds` are over and
-- nothing runs any more, but after `most` seconds at the latest.
function _M.drain()
    running_requests.forget()
    purges.set_draining()
    local arguments = ngx.req.get_uri_args(4)
    local least = math.min(tonumber(arguments.seconds) or 0, 300)
    local most = math.min(tonumber(arguments.most) or least, 300)
    local begun = clock.now()
    repeat
        ngx.sleep(0.5)
        local passed = clock.now() - begun
        -- This request is one of those that are being answered.
        local is_idle = tonumber(var.connections_writing) <= 1
    until passed >= most or (passed >= least and is_idle)
    return reply(200, { status = "draining" })
end

return _M
