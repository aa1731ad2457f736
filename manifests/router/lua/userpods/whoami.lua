-- Asking Django who a request's user is, and reading its answer.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local answers = require "userpods.answers"
local places = require "userpods.places"
local purges = require "userpods.purges"

local now = require("userpods.clock").now

local _M = {}

--- What an answer (status, and a function that gives a header) means: "yes" and an entry, or
-- one of "anonymous" (401), "forbidden" (403), "later" (503) and "broken" with a reason. Only
-- these four statuses are Django's definite words; everything else is a Django that is not
-- well, and lets nobody in.
function _M.read(status, header, asked, generations_before, sent)
    if status == 401 then
        return "anonymous"
    elseif status == 403 then
        return "forbidden"
    elseif status == 503 then
        return "later"
    elseif status ~= 200 then
        return "broken", "status " .. tostring(status)
    end
    local user_id = header "X-Userpods-User-Id"
    local entry, problem = answers.entry({
        user = header "X-Userpods-User",
        user_id = user_id,
        service = header "X-Target-Service",
        peer = header "X-Target-Peer",
        state = header "X-Userpods-State",
        activity = header "X-Userpods-Activity",
        owner_id = header "X-Userpods-Owner-Id",
        seconds = header "X-Userpods-Seconds",
        asked = asked,
    }, sent)
    if not entry then
        return "broken", problem
    end
    -- The user is known only now. If anyone was forgotten while we asked, it may have been
    -- this one: the answer serves this request (it was true when it was given), but a number
    -- that was never given out keeps every later one from finding it.
    if purges.count() ~= generations_before then
        entry.generation = purges.OVERTAKEN
    else
        entry.generation = purges.get(entry.generation_key, entry.guests_key)
    end
    return "yes", entry
end

--- Asks for the request at hand.
function _M.ask(sent)
    local asked, before = now(), purges.count()
    local host, path = places.told(sent.place)
    local answer = ngx.location.capture("/_userpods/whoami", { vars = {
        userpods_asked_host = host,
        userpods_asked_path = path,
        userpods_cookie = sent.cookie or "",
        userpods_authorization = sent.authorization or "",
    } })
    if answer.truncated then
        return "broken", "cut short"
    end
    return _M.read(answer.status, function(name)
        local value = answer.header[name]
        -- Twice is not an answer.
        return type(value) == "string" and value or (value and "") or nil
    end, asked, before, sent)
end

--- Asks for a request that is already running: from a timer, through the internal port.
function _M.ask_again(entry, settings)
    local asked, before = now(), purges.count()
    local socket = ngx.socket.tcp()
    socket:settimeouts(2000, 2000, 12000)
    local ok, problem = socket:connect(settings.internal_host, settings.internal_port)
    if not ok then
        return "broken", problem
    end
    local lines = { "GET /_userpods/whoami HTTP/1.1", "Host: localhost" }
    if entry.sent.cookie then
        lines[#lines + 1] = "Cookie: " .. entry.sent.cookie
    end
    if entry.sent.authorization then
        lines[#lines + 1] = "Authorization: " .. entry.sent.authorization
    end
    local host, path = places.told(entry.sent.place)
    if host ~= "" then
        lines[#lines + 1] = "X-Userpods-Host: " .. host
    end
    if path ~= "" then
        lines[#lines + 1] = "X-Userpods-Path: " .. path
    end
    lines[#lines + 1] = "Connection: close\r\n\r\n"
    ok, problem = socket:send(table.concat(lines, "\r\n"))
    if not ok then
        return "broken", problem
    end
    local text
    text, problem = socket:receive("*a")
    socket:close()
    if not text then
        return "broken", problem
    end
    local head = text:match("^(.-)\r\n\r\n")
    local status = tonumber((text:match("^HTTP/1%.[01] (%d%d%d)")))
    if not head or not status then
        return "broken", "not HTTP"
    end
    local headers = {}
    for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
        name = name:lower()
        headers[name] = headers[name] and "" or value
    end
    return _M.read(status, function(name)
        return headers[name:lower()]
    end, asked, before, entry.sent)
end

return _M
