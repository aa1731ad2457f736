-- What may differ from place to place, read once from settings/settings.lua beside nginx.conf.
-- A wrong setting keeps nginx from starting, and a reload from happening, with a sentence that
-- names it (`nginx -t` does not run Lua).

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

-- Every setting with its default; the type of the default is the type it must have.
local defaults = {
    -- What every Service's name begins with (USERPODS_NAME_PREFIX).
    name_prefix = "user-",
    -- Where browsers without credentials are sent, and the parameter that brings them back.
    login_url = "/accounts/login/",
    next_parameter = "next",
    -- Put before the return address where the login is on another host: "https://host".
    origin = "",
    -- The Django site's cookies: session, CSRF, messages, and USERPODS_TOKEN_COOKIE.
    cookies = { "sessionid", "csrftoken", "messages", "userpods_token" },
    -- Which of them say who is asking: all that whoami gets of them.
    credential_cookies = { "sessionid", "userpods_token" },
    -- What our tokens begin with. A bearer token like this never reaches a pod; "" is for sites
    -- whose own authenticators take other bearer tokens: then none does.
    token_prefix = "upt_",
    -- The one whose setting by Django means a login or logout.
    session_cookie = "sessionid",
    -- Where Django mounted django_userpods.urls.
    whoami_path = "/whoami",
    waiting_path = "/userpods/waiting/",
    -- Seconds an answer of whoami is believed; 0 asks for every request.
    cache_seconds = 5,
    -- Seconds after which a request that is still running is asked about again.
    recheck_seconds = 10,
    -- Seconds without any answer of whoami after which a running request is cut.
    grace_seconds = 60,
    -- Seconds a WebSocket may be silent.
    websocket_seconds = 3600,
    -- Seconds that the body of a request for the Django site may take.
    site_body_seconds = 120,
    -- Origins beside a request's own host whose pages may open WebSockets: "https://host".
    origins = {},
    -- Whether pods may be at loopback addresses: the local cluster alone.
    allow_loopback = false,
    -- Where this router's own internal port is, for itself.
    internal = "127.0.0.1:8081",
    -- What Retry-After says.
    retry_after = 2,
}

--- Returns the settings with defaults filled in, or nil and what is wrong.
function _M.complete(given)
    if type(given) ~= "table" then
        return nil, "settings.lua must return a table"
    end
    local complete = {}
    for name, default in pairs(defaults) do
        complete[name] = default
    end
    for name, value in pairs(given) do
        local default = defaults[name]
        if default == nil then
            return nil, "unknown setting: " .. tostring(name)
        end
        if type(value) ~= type(default) then
            return nil, name .. " must be a " .. type(default)
        end
        if type(value) == "number" and not (value >= 0 and value < math.huge) then
            return nil, name .. " must not be negative"
        end
        complete[name] = value
    end
    for _, name in ipairs { "recheck_seconds", "websocket_seconds", "site_body_seconds" } do
        if complete[name] < 1 then
            return nil, name .. " must be at least 1"
        end
    end
    if not complete.name_prefix:find("^[a-z][a-z0-9-]*$") then
        return nil, "name_prefix must begin a DNS label"
    end
    for _, setting in ipairs { "cookies", "credential_cookies" } do
        for _, cookie in ipairs(complete[setting]) do
            if type(cookie) ~= "string" or not cookie:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
                return nil, setting .. " must be cookie names"
            end
        end
    end
    for _, name in ipairs { "login_url", "whoami_path", "waiting_path" } do
        if complete[name]:find("[%c%s]") or complete[name] == "" then
            return nil, name .. " must be a URL or path"
        end
    end
    for _, origin in ipairs(complete.origins) do
        if type(origin) ~= "string" or not origin:find "^https?://[^/%s]+$" then
            return nil, "origins must be like https://host, without a path"
        end
    end
    local host, port = complete.internal:match("^(.+):(%d+)$")
    if not host then
        return nil, "internal must be host:port"
    end
    complete.internal_host, complete.internal_port = host, tonumber(port)
    return complete
end

--- The settings of this file, complete. Raises an error that names the file and what is wrong.
function _M.load(path)
    local complete, problem = _M.complete(dofile(path))
    if not complete then
        error(path .. ": " .. problem, 0)
    end
    return complete
end

return _M
