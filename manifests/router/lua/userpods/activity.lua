-- When each pod was used last, for whoever stops those that are not (docs/idle.md).
--
-- A request counts when it begins, and while it runs as long as bytes flow: more than the few of a
-- heartbeat between two looks. A pod's own rules, which whoami hands over with the target, except
-- what an open page does by itself:
--   ignore GET,HEAD /api/*   neither counts nor wakes a stopped pod
--   quiet /socket            its beginning neither counts nor wakes; its bytes count
--   open /queue/*            counts as long as it runs, whatever flows
-- The first rule that fits decides. `*` is any number of bytes, the query is not looked at. A line
-- without methods is for all of them.
--
-- Kept by the Service's name in a dictionary of all workers, written at most every few seconds for
-- each of a user's sessions; read through the internal port. Nothing is sent to anybody.

local cjson = require "cjson.safe"
local ffi = require "ffi"
local lrucache = require "resty.lrucache"

local now = require("userpods.clock").now
local used = ngx.shared.userpods_activity

local _M = {}

--- What a rule makes of a request; nil for one that counts as it comes.
_M.IGNORE, _M.QUIET, _M.OPEN = "ignore", "quiet", "open"

-- Seconds after a use that was written down before the next one is.
local EVERY = 5
-- Seconds after which nobody asks any more when a pod was used.
local LIFETIME = 172800
-- The bytes between two looks that are no more than a heartbeat: VS Code measures five round trips
-- a minute, at once, beside its keep-alives, in less than 400.
local HEARTBEAT = 512
local look_seconds = 15

-- In the dictionary: since when it is known who was used. No Service is called that.
local SINCE = "\0since"
used:add(SINCE, now())

--- Takes `look_seconds` from the settings.
function _M.configure(settings)
    look_seconds = settings.look_seconds
end

local KINDS = { ignore = true, quiet = true, open = true }
local compiled = lrucache.new(200)
local NONE = {}

local function compile_rule(text)
    local kind, rest = text:match "^%s*(%a+)%s+(.-)%s*$"
    if not KINDS[kind] then
        return nil
    end
    local methods, path = rest:match "^([%u,]+)%s+(/%S*)$"
    path = path or rest:match "^(/%S*)$"
    if not path then
        return nil
    end
    local rule = { kind = kind }
    if methods then
        rule.methods = {}
        for method in methods:gmatch "%u+" do
            rule.methods[method] = true
        end
    end
    local before, after = path:match "^([^*]*)%*(.*)$"
    if not before then
        rule.exact = path
    elseif after == "" then
        rule.prefix = before
    else
        local plain = path:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
        rule.pattern = "^" .. plain:gsub("%*", ".*") .. "$"
    end
    return rule
end

--- The rules of whoami's words ("ignore /a; quiet /b"), or nil for none. What cannot be read is
-- left out: then more counts.
function _M.rules(text)
    if not text or text == "" then
        return nil
    end
    local rules = compiled:get(text)
    if not rules then
        rules = {}
        for part in text:gmatch "[^;]+" do
            rules[#rules + 1] = compile_rule(part)
        end
        if #rules == 0 then
            rules = NONE
        end
        compiled:set(text, rules)
    end
    return rules ~= NONE and rules or nil
end
jit.off(_M.rules)
jit.off(compile_rule)

--- What the rules make of a request: a kind, or nil. `uri` is the request line's.
function _M.kind_of(rules, method, uri)
    if not rules then
        return nil
    end
    local path = uri:match "^[^?]*"
    if path:byte(1) ~= 47 then
        -- With scheme and host before the path.
        path = path:match "^%a[%w+.-]*://[^/]*(/.*)$" or path
    end
    for _, rule in ipairs(rules) do
        if not rule.methods or rule.methods[method] then
            if rule.exact == path or (rule.prefix and path:sub(1, #rule.prefix) == rule.prefix)
                or (rule.pattern and path:find(rule.pattern))
            then
                return rule.kind
            end
        end
    end
    return nil
end

--- Whether a request of this kind counts, and may wake a stopped pod, by its beginning.
function _M.counts(kind)
    return kind == nil or kind == _M.OPEN
end

--- The pod of this entry is used now. To be called if `entry.note_after` is over.
function _M.note(entry, time)
    entry.note_after = time + EVERY
    local ok, problem = used:set(entry.service, time, LIFETIME)
    if not ok then
        ngx.log(ngx.ERR, "cannot note that a pod is used: ", problem)
    end
end
jit.off(_M.note)

--- Notes a request whose pod has rules, if it counts. Returns what running_requests.lua is to know
-- of it: `is_websocket`, or that and a kind.
function _M.mark(entry, is_websocket, time)
    local kind = _M.kind_of(entry.rules, ngx.req.get_method(), ngx.var.request_uri)
    if time >= entry.note_after and _M.counts(kind) then
        _M.note(entry, time)
    end
    return kind and { websocket = is_websocket, kind = kind } or is_websocket
end

ffi.cdef [[
int getsockopt(int socket, int level, int name, void *value, uint32_t *length);
]]
-- Linux: struct tcp_info, whose fields keep their places. Both counters begin with the connection.
local TCP, TCP_INFO, ROOM = 6, 11, 256
local ACKED, RECEIVED, LEAST = 120, 128, 136
local info, length = ffi.new("uint8_t[?]", ROOM), ffi.new "uint32_t[1]"
local is_said = false

-- The bytes that a socket has carried so far, both ways; nil where the kernel does not tell.
local function bytes_of(fd)
    length[0] = ROOM
    if ffi.C.getsockopt(fd, TCP, TCP_INFO, info, length) ~= 0 or length[0] < LEAST then
        if not is_said then
            is_said = true
            ngx.log(ngx.WARN, "this kernel does not count a connection's bytes: ",
                "a request counts as long as it runs")
        end
        return nil
    end
    return tonumber(ffi.cast("uint64_t *", info + ACKED)[0])
        + tonumber(ffi.cast("uint64_t *", info + RECEIVED)[0])
end

-- Request address -> its entry and the bytes of its connection at the last look.
local flows = {}
local looked = 0

--- Whether it is time for a look at what runs.
function _M.is_due(time)
    if time - looked < look_seconds then
        return false
    end
    looked = time
    return true
end

--- Looks at one request that runs: `address` tells it from others, `fd` is its client's socket.
function _M.look(address, entry, kind, fd, time)
    if kind == _M.IGNORE then
        return
    end
    local bytes, flow = bytes_of(fd), flows[address]
    local is_used = kind == _M.OPEN or not bytes
    if not flow or flow.entry ~= entry then
        flows[address] = { entry = entry, bytes = bytes }
    else
        is_used = is_used or math.abs(bytes - flow.bytes) > HEARTBEAT
        flow.bytes = bytes
    end
    if is_used then
        _M.note(entry, time)
    end
end
jit.off(_M.look)

--- The request that was told by this address is over.
function _M.forget(address)
    flows[address] = nil
end

--- GET /activity?within=90: {"since": 3600.5, "pods": {"user-alice": 4.2}}, all in seconds ago: the
-- pods that were used in the last `within` seconds, and since when that is known.
function _M.content()
    local time = now()
    local within = tonumber(ngx.req.get_uri_args(4).within) or math.huge
    local pods, any = {}, false
    for _, name in ipairs(used:get_keys(0)) do
        if name ~= SINCE then
            local at = used:get(name)
            if at and time - at <= within then
                pods[name] = math.max(0, time - at)
                any = true
            end
        end
    end
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Cache-Control"] = "no-store"
    local since = math.max(0, time - (used:get(SINCE) or time))
    -- An empty table could be a list as well.
    ngx.say('{"since":', since, ',"pods":', any and cjson.encode(pods) or "{}", "}")
end
jit.off(_M.content)

return _M
